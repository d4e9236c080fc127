import type { Runtime } from '@graftjs/compiler';
import type { CausalLM } from '@graftjs/models';
import { Sampler, type SamplingOptions } from './sampling.ts';
import { type Front, frontOf, Session } from './session.ts';

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Tokens that end the text; they are not part of the result. Default: the config's end tokens. */
  readonly stopIds?: readonly number[];
  /** Ends the text early, without an error. */
  readonly signal?: AbortSignal;
}

/** The prompt and what is asked for do not fit the model. */
export class ContextLengthError extends RangeError {
  override readonly name = 'ContextLengthError';
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  readonly maxPositions: number;

  constructor(promptTokens: number, maxNewTokens: number, maxPositions: number, front = 0) {
    super(
      promptTokens === 0
        ? 'the prompt is empty: give at least one token, such as the one that begins a text'
        : `a prompt of ${promptTokens} tokens${front > 0 ? `, ${front} positions that adapters put in front of it` : ''} and ${maxNewTokens} new ones exceed the model's ${maxPositions} positions: shorten one of them`,
    );
    this.promptTokens = promptTokens;
    this.maxNewTokens = maxNewTokens;
    this.maxPositions = maxPositions;
  }
}

/** Prompts are padded to a multiple of this, so that programs repeat. */
const bucket = 64;
const padded = (tokens: number): number => Math.ceil(tokens / bucket) * bucket;
/** Caches double, so that few are kept, and all of them take at most twice the memory of the largest. */
const capacityFor = (positions: number): number => bucket * 2 ** Math.ceil(Math.log2(positions / bucket));

/**
 * Generates text with a model, again and again: keeps its caches and their programs (one for each padded length of
 * prompt, one that adds a token). Texts made at the same time have caches of their own. Make a new one after adapters
 * were attached, switched or merged.
 */
export class Generator {
  readonly #runtime: Runtime;
  readonly #model: CausalLM;
  readonly #front: Front;
  /** Sessions that no text is using, by capacity. */
  readonly #idle = new Map<number, Session[]>();
  #closed = false;

  constructor(runtime: Runtime, model: CausalLM) {
    this.#runtime = runtime;
    this.#model = model;
    this.#front = frontOf(model);
  }

  /**
   * Tokens one by one, as they are chosen.
   * @throws ContextLengthError where prompt and new tokens exceed the model's positions, or the prompt is empty;
   *   RangeError for options out of range and ids outside the vocabulary; LogitsError
   */
  async *stream(
    promptIds: ArrayLike<number>,
    options: GenerateOptions,
  ): AsyncGenerator<number, void, undefined> {
    const { maxPositions, eosTokenIds, vocabSize } = this.#model.config;
    const { maxNewTokens, signal } = options;
    const length = promptIds.length;
    if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1))
      throw new RangeError(`maxNewTokens is ${maxNewTokens}: it must be a whole number from 1`);
    const front = this.#front.positions;
    const positions = front + length + maxNewTokens;
    if (length === 0 || positions > maxPositions)
      throw new ContextLengthError(length, maxNewTokens, maxPositions, front);
    const strange = Array.from(promptIds).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (strange !== undefined)
      throw new RangeError(`token ${strange} of the prompt is not in the model's vocabulary of ${vocabSize}`);
    const sampler = new Sampler(options);
    const stop = new Set(options.stopIds ?? eosTokenIds);
    if (signal?.aborted) return;

    const window = padded(length);
    const capacity = capacityFor(Math.max(positions, front + window));
    const session = this.#take(capacity);
    try {
      let logits = await session.start(promptIds, window);
      for (let made = 1; !signal?.aborted; made++) {
        const id = sampler.next(logits);
        if (stop.has(id)) return;
        yield id;
        if (made === maxNewTokens || signal?.aborted) return;
        logits = await session.next(id);
      }
    } finally {
      this.#giveBack(capacity, session);
    }
  }

  /** All new tokens at once. Errors as those of {@link stream}. */
  async generate(promptIds: ArrayLike<number>, options: GenerateOptions): Promise<number[]> {
    const ids: number[] = [];
    for await (const id of this.stream(promptIds, options)) ids.push(id);
    return ids;
  }

  /** Frees the caches' device memory; those of texts in the making when they end. */
  close(): void {
    this.#closed = true;
    for (const session of [...this.#idle.values()].flat()) session.release();
    this.#idle.clear();
  }

  #take(capacity: number): Session {
    if (this.#closed) throw new Error('the generator is closed: make a new one');
    return this.#idle.get(capacity)?.pop() ?? new Session(this.#runtime, this.#model, capacity, this.#front);
  }

  #giveBack(capacity: number, session: Session): void {
    if (this.#closed) session.release();
    else this.#idle.set(capacity, [...(this.#idle.get(capacity) ?? []), session]);
  }
}
