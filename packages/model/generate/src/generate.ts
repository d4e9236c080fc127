import type { Runtime } from '@graftjs/compiler';
import type { CausalLM, Seq2SeqLM } from '@graftjs/models';
import { Sampler, type SamplingOptions } from './sampling.ts';
import type { TextSession } from './session.ts';
import { decoderTexts, encoderDecoderTexts, type TextMaking } from './text-making.ts';

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Tokens that end the text; they are not part of the result. Default: the config's end tokens. */
  readonly stopIds?: readonly number[];
  /** Which adapter the text has, where several are mixed: as `adapterIds` of the `Context`. Default 0: none. */
  readonly adapterId?: number;
  /** Ends the text early, without an error. */
  readonly signal?: AbortSignal;
}

/**
 * Generates text with a model, again and again: keeps its caches and their programs (one for each padded length of
 * prompt, one that adds a token). Texts made at the same time have caches of their own. Make a new one after adapters
 * were attached, switched or merged. The encoder of an encoder-decoder reads the prompt, once.
 */
export class Generator {
  readonly #model: CausalLM | Seq2SeqLM;
  readonly #making: TextMaking;
  /** Sessions that no text is using, by the room that they have. */
  readonly #idle = new Map<string, TextSession[]>();
  #closed = false;

  constructor(runtime: Runtime, model: CausalLM | Seq2SeqLM) {
    this.#model = model;
    this.#making = 'encode' in model ? encoderDecoderTexts(runtime, model) : decoderTexts(runtime, model);
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
    const { eosTokenIds, vocabSize } = this.#model.config;
    const { maxNewTokens, signal } = options;
    const length = promptIds.length;
    if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1))
      throw new RangeError(`maxNewTokens is ${maxNewTokens}: it must be a whole number from 1`);
    const { key, window, open } = this.#making(length, maxNewTokens);
    const strange = Array.from(promptIds).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (strange !== undefined)
      throw new RangeError(`token ${strange} of the prompt is not in the model's vocabulary of ${vocabSize}`);
    const sampler = new Sampler(options);
    const stop = new Set(options.stopIds ?? eosTokenIds);
    if (signal?.aborted) return;

    const session = this.#take(key, open);
    try {
      let logits = await session.start(promptIds, window, options.adapterId ?? 0);
      for (let made = 1; !signal?.aborted; made++) {
        const id = sampler.next(logits);
        if (stop.has(id)) return;
        yield id;
        if (made === maxNewTokens || signal?.aborted) return;
        logits = await session.next(id);
      }
    } finally {
      this.#giveBack(key, session);
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

  #take(key: string, open: () => TextSession): TextSession {
    if (this.#closed) throw new Error('the generator is closed: make a new one');
    return this.#idle.get(key)?.pop() ?? open();
  }

  #giveBack(key: string, session: TextSession): void {
    if (this.#closed) session.release();
    else this.#idle.set(key, [...(this.#idle.get(key) ?? []), session]);
  }
}
