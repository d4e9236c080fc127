/** Modules that give each row of a batch the change of its own adapter. */
import type { Context, Embedding, EmbeddingDetails, Linear, LinearDetails } from '@graftjs/nn';
import { PeftError } from '@graftjs/peft';
import {
  add,
  and,
  cast,
  equal,
  iota,
  matmul,
  mul,
  not,
  or,
  reshape,
  type Tensor,
  take,
  transpose,
  unsqueeze,
  type Variable,
  where,
} from '@graftjs/tensor';
import { ActivatedLayer } from '../activated/activated.ts';
import { isInvoked } from '../activated/invocation.ts';
import type { LoraPart } from '../layer.ts';
import { type Factors, type Stacks, stacksOf } from './stacks.ts';

/** A pass that a mix of adapters cannot serve. */
export class MixedBatchError extends PeftError {
  override readonly name = 'MixedBatchError';
  /** Of the module. */
  readonly path: string;

  constructor(path: string, problem: string) {
    super(`mix of adapters at ${path}: ${problem}`);
    this.path = path;
  }
}

export interface MixedPart {
  readonly path: string;
  readonly variables: readonly Variable[];
  attach(key: string): void;
  detach(key: string): void;
}

/** The mix at one linear layer. */
export class MixedLinear implements MixedPart {
  readonly path: string;
  readonly #base: Linear;
  readonly #stacks: Stacks;
  /** By the number of the adapter, the tokens that invoke it. */
  readonly #invocations: ReadonlyMap<number, readonly number[]>;

  constructor(
    path: string,
    base: Linear,
    parts: readonly (LoraPart | undefined)[],
    factors: readonly (Factors | undefined)[],
  ) {
    this.path = path;
    this.#base = base;
    this.#stacks = stacksOf(path, factors);
    this.#invocations = new Map(
      parts.flatMap((part, i) => (part instanceof ActivatedLayer ? [[i + 1, part.invocation]] : [])),
    );
  }

  get variables(): readonly Variable[] {
    return variablesOf(this.#stacks);
  }

  attach(key: string): void {
    this.#base.output.attach(key, (output, details) => this.#forward(output, details));
  }

  detach(key: string): void {
    this.#base.output.detach(key);
  }

  #forward(output: Tensor, { input, context }: LinearDetails): Tensor {
    const ids = adapterIds(this.path, context, input.shape[0]!);
    const { a, b, bias } = this.#stacks;
    const [rows, inner, outer] = [ids.shape[0]!, a.shape[2]!, b.shape[1]!];
    const x = cast(reshape(input, [rows, -1, inner]), 'f32'); // [b, t, in]
    const low = matmul(x, transpose(take(a, ids))); // [b, t, r]
    let change = matmul(low, transpose(take(b, ids))); // [b, t, out]
    if (bias) change = add(change, reshape(take(bias, ids), [rows, 1, outer]));
    if (this.#invocations.size > 0) change = where(unsqueeze(this.#isThere(ids, context), -1), change, 0);
    return add(output, cast(reshape(change, output.shape), output.dtype));
  }

  /** Whether each token has its row's adapter, bool `[b, t]`. */
  #isThere(ids: Tensor, context: Context): Tensor {
    return [...this.#invocations]
      .map(([id, invocation]) => or(not(equal(unsqueeze(ids, -1), id)), isInvoked(context, invocation)))
      .reduce(and);
  }
}

/** The mix at an embedding. */
export class MixedEmbedding implements MixedPart {
  readonly path: string;
  readonly #base: Embedding;
  readonly #stacks: Stacks;

  constructor(path: string, base: Embedding, factors: readonly (Factors | undefined)[]) {
    this.path = path;
    this.#base = base;
    this.#stacks = stacksOf(path, factors);
  }

  get variables(): readonly Variable[] {
    return variablesOf(this.#stacks);
  }

  attach(key: string): void {
    this.#base.output.attach(key, (output, details) => this.#forward(output, details));
  }

  detach(key: string): void {
    this.#base.output.detach(key);
  }

  #forward(output: Tensor, { ids, context }: EmbeddingDetails): Tensor {
    if (ids.rank !== 2)
      throw new MixedBatchError(this.path, `it has ids of shape [${ids.shape}], which all rows share`);
    const adapters = adapterIds(this.path, context, ids.shape[0]!);
    const { a, b } = this.#stacks;
    const [count, rank, vocabulary] = a.shape as [number, number, number];
    const [rows, tokens] = ids.shape as [number, number];
    // Column id of row's A: an element of the stack for each rank.
    const first = mul(unsqueeze(adapters, -1), rank * vocabulary); // [b, 1]
    const starts = unsqueeze(add(first, ids), -1); // [b, t, 1]
    const places = add(starts, mul(iota([rows, tokens, rank], 2), vocabulary)); // [b, t, r]
    const low = take(reshape(a, [count * rank * vocabulary]), places);
    const change = matmul(low, transpose(take(b, adapters))); // [b, t, dim]
    return add(output, cast(mul(change, this.#base.scale), output.dtype));
  }
}

const variablesOf = ({ a, b, bias }: Stacks): Variable[] => [a, b, ...(bias ? [bias] : [])];

/** i32 `[b]`. @throws MixedBatchError where the pass does not say them for each row, or trains */
function adapterIds(path: string, { adapterIds: ids, training }: Context, rows: number): Tensor {
  if (training) throw new MixedBatchError(path, 'a mix is not trained: train its adapters one by one');
  if (!ids)
    throw new MixedBatchError(path, 'give the Context adapterIds, i32 [b], by mixedIds of @graftjs/lora');
  if (ids.rank !== 1 || ids.shape[0] !== rows)
    throw new MixedBatchError(
      path,
      `adapterIds have the shape [${ids.shape}], and the batch has ${rows} rows`,
    );
  return ids;
}
