import { readAdapter } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { MethodCatalog } from '../methods/catalog.ts';
import { attempt, type Findings, tensorBlock, totalLine } from './findings.ts';
import { summarize } from './tensors.ts';

/**
 * An adapter's folder.
 * @param methodFile the file of its method, where it is of no package
 */
export async function inspectAdapter(path: string, methodFile?: string): Promise<Findings> {
  const problems: string[] = [];
  const catalog = new MethodCatalog();
  const found = await attempt(problems, async () => {
    const also = methodFile === undefined ? [] : [await catalog.method(methodFile)];
    return catalog.tunerOf(nodeFolder(path), {}, also);
  });
  const adapter = await attempt(problems, () => readAdapter(found?.folder ?? nodeFolder(path)));
  const config = adapter?.config;
  const summary = summarize(adapter?.tensors ?? { tensors: new Map() });
  let unknownConfigKeys: readonly string[] = [];
  if (config && found) {
    const parsed = await attempt(problems, () => found.tuner.parseConfig(config));
    unknownConfigKeys = parsed?.unknownKeys ?? [];
  }
  const base = config?.base_model_name_or_path ?? null;
  const shown = Object.entries(config ?? {}).filter(([, value]) => !isNothing(value));
  return {
    kind: 'adapter',
    path,
    data: {
      supported: found !== undefined,
      method: config?.peft_type ?? null,
      baseModel: base,
      unknownConfigKeys,
      config: config ?? null,
      ...summary,
    },
    lines: [
      `adapter folder: ${path}`,
      totalLine(summary),
      `${config?.peft_type ?? 'unknown'}, for ${base ?? 'a base that it does not name'}`,
      'config, but for what is empty:',
      ...shown.map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
      ...(unknownConfigKeys.length > 0 ? [`without effect here: ${unknownConfigKeys.join(', ')}`] : []),
      ...tensorBlock(summary),
    ],
    problems,
  };
}

const isNothing = (value: unknown): boolean =>
  value === null || value === false || (typeof value === 'object' && Object.keys(value!).length === 0);
