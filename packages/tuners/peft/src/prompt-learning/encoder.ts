import {
  type Context,
  Embedding,
  type HostRandom,
  Linear,
  Module,
  normalArray,
  type Parameter,
  uniformArray,
} from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import type { AdapterState, StateReport } from '../tuner.ts';

/** The key of a prompt in an adapter's file. */
export const PROMPT_KEY = 'prompt_embeddings';

/** What is trained: the prompt itself, or a network that gives it. Its parameters have PEFT's names. */
export interface PromptEncoder extends Module {
  /** The prompt, f32 `[n, width]`, or `[b, n, width]` where texts differ in it. Asked for once a pass. */
  forward(context: Context): Tensor;
  /**
   * What a file holds, by key. What is a parameter there is read back from a file; what was computed is not, and an
   * adapter that is loaded has an encoder that holds it as a parameter.
   */
  readonly saved: Readonly<Record<string, Tensor>>;
  /** Parameters that are never trained. Default: none. */
  readonly frozen?: ReadonlySet<Parameter>;
  /**
   * Takes over a file's values, where what it holds is computed from parameters that can be found from it.
   * @throws AdapterStateError where a shape differs; nothing was taken over then
   */
  restore?(where: string, state: AdapterState): StateReport;
}

/** A prompt that is trained as it is, and what a network's becomes in a file: `[n, width]`. */
export class PromptTable extends Module implements PromptEncoder {
  readonly embedding: Embedding;

  /** @param rows initial values; left out: zero */
  constructor(count: number, width: number, rows?: Float32Array<ArrayBuffer>) {
    super();
    this.embedding = newTable(count, width, rows);
  }

  forward(_context: Context): Tensor {
    return this.embedding.weight;
  }

  get saved(): Record<string, Tensor> {
    return { [PROMPT_KEY]: this.embedding.weight };
  }
}

/** A table with these rows; left out: zero. */
export function newTable(count: number, width: number, rows?: Float32Array<ArrayBuffer>): Embedding {
  const table = new Embedding(count, width);
  if (rows) table.weight.set(rows);
  return table;
}

/** Rows as PyTorch's `Embedding` starts: standard normal. */
export const normalRows = (count: number, width: number, random: HostRandom): Float32Array<ArrayBuffer> =>
  normalArray(count * width, 1, random);

/** A linear layer with a bias, both uniform in ±1/√in, as PyTorch's `Linear` starts. */
export function newLinear(inFeatures: number, outFeatures: number, random: HostRandom): Linear {
  const layer = new Linear(inFeatures, outFeatures, { bias: true });
  const bound = 1 / Math.sqrt(inFeatures);
  for (const parameter of layer.parameters()) parameter.set(uniformArray(parameter.size, bound, random));
  return layer;
}
