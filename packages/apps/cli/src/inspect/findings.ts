import { bytes } from '../report/progress-line.ts';
import type { TensorSummary } from './tensors.ts';
import { tensorLines } from './tensors.ts';

/** What a path turned out to be. */
export interface Findings {
  readonly kind: 'model' | 'gguf' | 'adapter' | 'run' | 'checkpoint' | 'safetensors';
  readonly path: string;
  /** For programs. */
  readonly data: Readonly<Record<string, unknown>>;
  /** For people. */
  readonly lines: readonly string[];
  /** What is wrong, one sentence each. */
  readonly problems: readonly string[];
}

/** `134,515,008` */
export const number = (n: number): string => n.toLocaleString('en');

export const totalLine = ({ tensors, parameters, bytes: size, dtypes }: TensorSummary): string =>
  `${number(parameters)} parameters in ${number(tensors.length)} tensors, ${Object.keys(dtypes).join(', ') || 'empty'}, ${bytes(size)}`;

export const tensorBlock = ({ tensors }: TensorSummary): string[] => [
  'tensors:',
  ...tensorLines(tensors).map((line) => `  ${line}`),
];

/** `work`, or what is wrong: the message of an error that the packages expect of damaged files. */
export async function attempt<T>(problems: string[], work: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    problems.push(error.message.replace(/\s*\n\s*/g, ' '));
    return undefined;
  }
}
