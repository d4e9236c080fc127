import { checkShapes, openGguf, openModelFolder, type Weights } from '@graftjs/checkpoint';
import { nodeFile, nodeFolder } from '@graftjs/checkpoint/node';
import { type ModelConfig, parseConfig } from '@graftjs/models';
import { type BaseFiles, openBaseFiles } from '../run/base-files.ts';
import { taskFor } from '../tasks/tasks.ts';
import { attempt, type Findings, number, tensorBlock, totalLine } from './findings.ts';
import { summarize } from './tensors.ts';
import { inspectTokenizer, tokenizerLines } from './tokenizer.ts';

/** A model folder of `transformers`: configuration, weights in one file or shards, tokenizer. */
export async function inspectModel(path: string): Promise<Findings> {
  const problems: string[] = [];
  const opened = await attempt(problems, () => openModelFolder(nodeFolder(path)));
  const files = opened && (await attempt(problems, () => openBaseFiles(path)));
  const summary = summarize(opened?.weights ?? { tensors: new Map() });
  const understood = files && (await understand(files, problems));
  return {
    kind: 'model',
    path,
    data: { ...understood?.data, config: opened?.config ?? null, ...summary },
    lines: [
      `model folder: ${path}`,
      totalLine(summary),
      ...(understood?.lines ?? []),
      ...tensorBlock(summary),
    ],
    problems,
  };
}

/** A model in one GGUF file; tensors have the names and types of the file. */
export async function inspectGguf(path: string): Promise<Findings> {
  const problems: string[] = [];
  const gguf = await openGguf(await nodeFile(path));
  const summary = summarize(gguf);
  const metadata = Object.fromEntries([...gguf.keyValues].map(([key, value]) => [key, briefly(value)]));
  const files = await attempt(problems, () => openBaseFiles(path));
  const understood = files && (await understand(files, problems));
  return {
    kind: 'gguf',
    path,
    data: { ...understood?.data, config: files?.json ?? null, version: gguf.version, metadata, ...summary },
    lines: [
      `GGUF file, version ${gguf.version}: ${path}`,
      totalLine(summary),
      ...(understood?.lines ?? []),
      'metadata:',
      ...Object.entries(metadata).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
      ...tensorBlock(summary),
    ],
    problems,
  };
}

const longest = 200;

/** A value of the metadata, without what fills screens: long texts and lists. */
function briefly(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string')
    return value.length > longest
      ? `${value.slice(0, longest)}… (${number(value.length)} characters)`
      : value;
  if (typeof value === 'object' && value !== null && 'length' in value)
    return `${number(value.length as number)} values`;
  return value;
}

/** What this package makes of a model: its architecture, whether the weights fit it, its tokenizer. */
async function understand(
  files: BaseFiles,
  problems: string[],
): Promise<{ data: Record<string, unknown>; lines: string[] }> {
  const config = await attempt(problems, () =>
    parseConfig(files.json, { architectures: taskFor(files.json).architectures }),
  );
  if (config) await attempt(problems, () => checkWeights(config, files));
  const tokenizer = await inspectTokenizer(files, config?.vocabSize, problems);
  const { modelType, vocabSize, hiddenSize, layers, maxPositions, tieWordEmbeddings } = config ?? {};
  return {
    data: {
      supported: config !== undefined,
      modelType: modelType ?? files.json.model_type ?? null,
      ...(config ? { vocabSize, hiddenSize, layers, maxPositions, tieWordEmbeddings } : {}),
      tokenizer,
    },
    lines: [
      ...(config
        ? [
            `${modelType}: ${layers} layers of ${hiddenSize}, vocabulary of ${number(vocabSize!)}${tieWordEmbeddings ? ' (tied)' : ''}, ${number(maxPositions!)} positions`,
          ]
        : []),
      ...tokenizerLines(tokenizer),
    ],
  };
}

/** @throws TensorMissingError, ShapeMismatchError where the weights are not those of the configuration */
function checkWeights(config: ModelConfig, { json, weights: { name, tensors } }: BaseFiles): void {
  const architecture = taskFor(json).architectures.find(({ modelTypes }) =>
    modelTypes.includes(config.modelType),
  )!;
  const prefix = `${architecture.baseModelPrefix}.`;
  const isBare = ![...tensors.keys()].some((key) => key.startsWith(prefix));
  const stored = isBare ? new Map([...tensors].map(([key, entry]) => [prefix + key, entry])) : tensors;
  const whole = { name, tensors: stored } as Weights;
  // Before a damaged configuration makes a model of a million layers.
  checkShapes(whole, architecture.landmarks(config));
  const parameters = architecture.build(config).namedParameters();
  const isHere = (key: string): boolean => stored.has(key) || !architecture.newWeights?.test(key);
  checkShapes(
    whole,
    [...parameters].filter(([key]) => isHere(key)).map(([key, { shape }]) => [key, shape] as const),
  );
}
