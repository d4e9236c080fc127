import { readAdapter } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { tunersWith } from '../run/adapter.ts';
import { attempt, type Findings, tensorBlock, totalLine } from './findings.ts';
import { summarize } from './tensors.ts';

/** An adapter folder as Hugging Face PEFT saves it. */
export async function inspectAdapter(path: string): Promise<Findings> {
  const problems: string[] = [];
  const adapter = await attempt(problems, () => readAdapter(nodeFolder(path)));
  const config = adapter?.config;
  const summary = summarize(adapter?.tensors ?? { tensors: new Map() });
  const tuners = tunersWith();
  const tuner = tuners.find(({ peftType }) => peftType === config?.peft_type);
  let unknownConfigKeys: readonly string[] = [];
  if (config && !tuner)
    problems.push(
      `its method ${JSON.stringify(config.peft_type)} is not supported here; supported are ${tuners.map(({ peftType }) => peftType).join(', ')}`,
    );
  if (config && tuner) {
    const parsed = await attempt(problems, () => tuner.parseConfig(config));
    unknownConfigKeys = parsed?.unknownKeys ?? [];
  }
  const base = config?.base_model_name_or_path ?? null;
  const shown = Object.entries(config ?? {}).filter(([, value]) => !isNothing(value));
  return {
    kind: 'adapter',
    path,
    data: {
      supported: tuner !== undefined,
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
