import type { Program, Runtime } from '@graftjs/compiler';
import type { LlamaForCausalLM } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { reshape, type Tensor, take, Variable } from '@graftjs/tensor';
import type { KvCache } from '@graftjs/transformer';
import { Sampler, type SamplingOptions } from './sampling.ts';

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Tokens that end the text; they are not part of the result. Default: the config's end tokens. */
  readonly stopIds?: readonly number[];
  readonly signal?: AbortSignal;
}

/** The prompt and what is asked for do not fit the model. */
export class ContextLengthError extends RangeError {
  override readonly name = 'ContextLengthError';
}

/** Positions of a cache come in multiples of this, and prompts are padded to it, so that programs repeat. */
const bucket = 64;
const rounded = (n: number): number => Math.ceil(n / bucket) * bucket;

interface Pass {
  readonly inputIds: Variable;
  /** Which position's logits are wanted: data. */
  readonly at: Variable;
  readonly program: Program;
}

/**
 * Generates text with a model, again and again: keeps its cache and its two programs (one reads a prompt, one adds a
 * token). Make a new one after adapters were attached, switched or merged.
 */
export class Generator {
  readonly #runtime: Runtime;
  readonly #model: LlamaForCausalLM;
  readonly #caches = new Map<number, { cache: KvCache; passes: Map<number, Promise<Pass>> }>();

  constructor(runtime: Runtime, model: LlamaForCausalLM) {
    this.#runtime = runtime;
    this.#model = model;
  }

  /**
   * Tokens one by one, as they are chosen.
   * @throws ContextLengthError where prompt and new tokens exceed the model's positions, or the prompt is empty
   */
  async *stream(
    promptIds: ArrayLike<number>,
    options: GenerateOptions,
  ): AsyncGenerator<number, void, undefined> {
    const { maxPositions, eosTokenIds, vocabSize } = this.#model.config;
    const length = promptIds.length;
    if (length === 0)
      throw new ContextLengthError(
        'the prompt is empty: give at least one token, such as the one that begins a text',
      );
    if (length + options.maxNewTokens > maxPositions)
      throw new ContextLengthError(
        `a prompt of ${length} tokens and ${options.maxNewTokens} new ones exceed the model's ${maxPositions} positions: shorten one of them`,
      );
    const strange = Array.from(promptIds).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (strange !== undefined)
      throw new RangeError(`token ${strange} of the prompt is not in the model's vocabulary of ${vocabSize}`);
    const stop = new Set(options.stopIds ?? eosTokenIds);
    const sampler = new Sampler(options);
    const { cache, passes } = this.#cacheFor(rounded(Math.min(length + options.maxNewTokens, maxPositions)));

    const window = Math.min(rounded(length), cache.capacity);
    const padded = new Int32Array(window);
    padded.set(Array.from(promptIds));
    let logits = await this.#run(await this.#pass(passes, cache, window), cache, padded, 0, length - 1);
    for (
      let position = length, made = 0;
      made < options.maxNewTokens && !options.signal?.aborted;
      position++, made++
    ) {
      const id = sampler.next(logits);
      if (stop.has(id)) return;
      yield id;
      if (made + 1 === options.maxNewTokens) return;
      logits = await this.#run(await this.#pass(passes, cache, 1), cache, Int32Array.of(id), position, 0);
    }
  }

  /** All new tokens at once. Errors as those of {@link stream}. */
  async generate(promptIds: ArrayLike<number>, options: GenerateOptions): Promise<number[]> {
    const ids: number[] = [];
    for await (const id of this.stream(promptIds, options)) ids.push(id);
    return ids;
  }

  /** Frees the caches' device memory. */
  close(): void {
    for (const { cache } of this.#caches.values()) for (const v of cache.variables) this.#runtime.release(v);
    this.#caches.clear();
  }

  #cacheFor(capacity: number): { cache: KvCache; passes: Map<number, Promise<Pass>> } {
    const known = this.#caches.get(capacity) ?? {
      cache: this.#model.newCache(1, capacity),
      passes: new Map(),
    };
    this.#caches.set(capacity, known);
    return known;
  }

  #pass(passes: Map<number, Promise<Pass>>, cache: KvCache, tokens: number): Promise<Pass> {
    const known = passes.get(tokens) ?? this.#compile(cache, tokens);
    passes.set(tokens, known);
    return known;
  }

  async #compile(cache: KvCache, tokens: number): Promise<Pass> {
    const inputIds = new Variable([1, tokens], undefined, { dtype: 'i32', name: 'inputIds' });
    const at = new Variable([1], undefined, { dtype: 'i32', name: 'last position' });
    const context = new Context();
    const hidden = this.#model.hiddenStates({ inputIds, cache }, context);
    const last: Tensor = take(reshape(hidden, [tokens, hidden.shape[2]!]), at);
    const logits = this.#model.lm_head.forward(last, context);
    const program = await this.#runtime.compile({ outputs: [logits], updates: cache.takeUpdates() });
    return { inputIds, at, program };
  }

  async #run(
    pass: Pass,
    cache: KvCache,
    ids: Int32Array<ArrayBuffer>,
    position: number,
    at: number,
  ): Promise<ArrayLike<number>> {
    pass.inputIds.set(ids);
    pass.at.set(Int32Array.of(at));
    cache.position.set(Int32Array.of(position));
    const [logits] = await pass.program.run();
    return logits!;
  }
}
