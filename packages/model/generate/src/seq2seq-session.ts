import type { Program, Runtime } from '@graftjs/compiler';
import { newCache, type Seq2SeqLM } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { narrow, reshape, Variable } from '@graftjs/tensor';
import { CrossCache, type Encoded, type KvCache } from '@graftjs/transformer';
import type { TextSession } from './session.ts';

interface Encoding {
  readonly inputIds: Variable;
  readonly keyMask: Variable;
  readonly program: Program;
}

interface Step {
  readonly inputIds: Variable;
  readonly program: Program;
}

/** Rows that attachments put in front of what an encoder-decoder reads. */
export interface Seq2SeqFront {
  /** Of the encoder's states. */
  readonly encoder: number;
  /** Positions in the decoder's cache: virtual tokens and prefixes. */
  readonly decoder: number;
}

export interface Seq2SeqRoom {
  /** Encoder's states, those in front included. */
  readonly source: number;
  /** Positions of the decoder, those in front included. */
  readonly target: number;
}

/**
 * An encoder-decoder's text: the encoder runs once and leaves the keys and values of each cross-attention, and then each
 * token runs the decoder alone, with a cache of its own.
 */
export class Seq2SeqSession implements TextSession {
  readonly #runtime: Runtime;
  readonly #model: Seq2SeqLM;
  readonly #front: Seq2SeqFront;
  readonly #cross: CrossCache;
  readonly #cache: KvCache;
  readonly #adapterId: Variable = new Variable([1], undefined, { dtype: 'i32', name: 'adapterIds' });
  readonly #programs = new Map<string, Promise<Encoding | Step>>();
  #position = 0;

  constructor(runtime: Runtime, model: Seq2SeqLM, { source, target }: Seq2SeqRoom, front: Seq2SeqFront) {
    this.#runtime = runtime;
    this.#model = model;
    this.#front = front;
    this.#cache = newCache(model, 1, target);
    const layers = model.blocks.map(({ parts }) => parts.crossAttention.heads);
    this.#cross = new CrossCache({ layers, batchSize: 1, capacity: source });
  }

  async start(sourceIds: ArrayLike<number>, window: number, adapterId: number): Promise<ArrayLike<number>> {
    this.#adapterId.set(Int32Array.of(adapterId));
    const encoding = await this.#once(`encode ${window}`, () => this.#compileEncoding(window));
    const ids = new Int32Array(window);
    ids.set(Array.from(sourceIds));
    encoding.inputIds.set(ids);
    encoding.keyMask.set(new Int32Array(window).fill(1, 0, sourceIds.length));
    await encoding.program.run();
    this.#position = 0;
    const logits = await this.#step(this.#model.config.decoderStartTokenId, false);
    this.#position = this.#front.decoder + 1;
    return logits;
  }

  async next(id: number): Promise<ArrayLike<number>> {
    const logits = await this.#step(id, true);
    this.#position++;
    return logits;
  }

  release(): void {
    for (const variable of [...this.#cross.variables, ...this.#cache.variables, this.#adapterId])
      this.#runtime.release(variable);
  }

  async #step(id: number, continues: boolean): Promise<ArrayLike<number>> {
    const step = await this.#once(`step ${continues}`, () => this.#compileStep(continues));
    step.inputIds.set(Int32Array.of(id));
    this.#cache.position.set(Int32Array.of(this.#position));
    const [logits] = await step.program.run();
    return logits!;
  }

  #once<P extends Encoding | Step>(key: string, compile: () => Promise<P>): Promise<P> {
    const known = this.#programs.get(key) as Promise<P> | undefined;
    if (known) return known;
    const made = compile();
    this.#programs.set(key, made);
    made.catch(() => this.#programs.delete(key));
    return made;
  }

  async #compileEncoding(window: number): Promise<Encoding> {
    const inputIds = new Variable([1, window], undefined, { dtype: 'i32', name: 'inputIds' });
    const keyMask = new Variable([1, window], undefined, { dtype: 'i32', name: 'keyMask' });
    const context = new Context({ adapterIds: this.#adapterId });
    const { states } = this.#model.encode({ inputIds, keyMask }, context);
    const layers = this.#model.blocks.map(({ parts }) => parts.crossAttention.keysAndValues(states, context));
    const program = await this.#runtime.compile({ updates: this.#cross.filled(layers, keyMask) });
    return { inputIds, keyMask, program };
  }

  async #compileStep(continues: boolean): Promise<Step> {
    const decoderInputIds = new Variable([1, 1], undefined, { dtype: 'i32', name: 'decoderInputIds' });
    const context = new Context({ continues, adapterIds: this.#adapterId });
    const inputs = { decoderInputIds, encoded: this.#cross, cache: this.#cache };
    const hidden = this.#model.hiddenStates(inputs, context);
    const [, rows, width] = hidden.shape as [number, number, number];
    const last = reshape(narrow(hidden, 1, rows - 1, 1), [1, width]);
    const logits = this.#model.outputEmbeddings.forward(last, context);
    const program = await this.#runtime.compile({ outputs: [logits], updates: this.#cache.takeUpdates() });
    return { inputIds: decoderInputIds, program };
  }
}

/** A cache of this length is only described, never given memory. */
const moreThanAny = 2 ** 20;

export function seq2seqFrontOf(model: Seq2SeqLM): Seq2SeqFront {
  const token = new Variable([1, 1], undefined, { dtype: 'i32' });
  const adapterIds = new Variable([1], undefined, { dtype: 'i32' });
  const context = new Context({ adapterIds });
  const encoded: Encoded = model.encode({ inputIds: token }, context);
  const cache = newCache(model, 1, moreThanAny);
  model.hiddenStates({ decoderInputIds: token, encoded, cache }, context);
  return { encoder: encoded.states.shape[1]! - 1, decoder: cache.rows - 1 };
}
