import type { Program, Runtime } from '@graftjs/compiler';
import { type CausalLM, newCache } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { broadcastTo, iota, minimum, reshape, take, Variable } from '@graftjs/tensor';
import type { KvCache } from '@graftjs/transformer';

interface Pass {
  readonly inputIds: Variable;
  /** Which row's logits are wanted: data. */
  readonly at: Variable;
  readonly program: Program;
  /** Rows of the hidden states before the first token's. */
  readonly rowsInFront: number;
}

/** One text in the making. */
export interface TextSession {
  /** Begins anew with a prompt, padded to `window` tokens: the logits of the first token of the text. */
  start(promptIds: ArrayLike<number>, window: number, adapterId: number): Promise<ArrayLike<number>>;
  /** Adds a token: the logits after it. */
  next(id: number): Promise<ArrayLike<number>>;
  /** Frees the device memory of its caches. */
  release(): void;
}

/** A decoder's text: a cache, and the programs that read a prompt into it and add a token to it. */
export class Session implements TextSession {
  readonly #runtime: Runtime;
  readonly #model: CausalLM;
  readonly #cache: KvCache;
  readonly #front: Front;
  readonly #capacity: number;
  /** What the text began with. */
  readonly #prompt: Variable;
  readonly #adapterId: Variable = new Variable([1], undefined, { dtype: 'i32', name: 'adapterIds' });
  readonly #passes = new Map<string, Promise<Pass>>();
  #position = 0;
  #ids: number[] = [];

  constructor(runtime: Runtime, model: CausalLM, capacity: number, front: Front) {
    this.#runtime = runtime;
    this.#model = model;
    this.#cache = newCache(model, 1, capacity);
    this.#front = front;
    this.#capacity = capacity;
    this.#prompt = new Variable([1, capacity], undefined, { dtype: 'i32', name: 'prompt' });
  }

  async start(promptIds: ArrayLike<number>, window: number, adapterId: number): Promise<ArrayLike<number>> {
    const prompt = new Int32Array(this.#capacity).fill(-1);
    prompt.set(Array.from(promptIds));
    this.#prompt.set(prompt);
    this.#adapterId.set(Int32Array.of(adapterId));
    return this.#read(promptIds, window);
  }

  /** Where the cache's keys fit no more, the whole text is read anew. */
  async next(id: number): Promise<ArrayLike<number>> {
    this.#ids.push(id);
    if (this.#position === this.#model.cacheFits)
      return this.#read(
        this.#ids,
        Math.min(padded(this.#ids.length), this.#capacity - this.#front.positions),
      );
    const logits = await this.#run(Int32Array.of(id), this.#position, 0);
    this.#position++;
    return logits;
  }

  release(): void {
    for (const variable of [...this.#cache.variables, this.#prompt, this.#adapterId])
      this.#runtime.release(variable);
  }

  async #read(text: ArrayLike<number>, window: number): Promise<ArrayLike<number>> {
    const ids = new Int32Array(window);
    this.#ids = Array.from(text);
    ids.set(this.#ids);
    const logits = await this.#run(ids, 0, text.length - 1);
    // What the padding wrote lies behind this position: seen by no query, and overwritten token by token.
    this.#position = this.#front.positions + text.length;
    return logits;
  }

  async #run(ids: Int32Array<ArrayBuffer>, position: number, at: number): Promise<ArrayLike<number>> {
    const continues = position > 0;
    const pass = await this.#pass(ids.length, continues);
    pass.inputIds.set(ids);
    pass.at.set(Int32Array.of(pass.rowsInFront + at));
    this.#cache.position.set(Int32Array.of(position));
    const [logits] = await pass.program.run();
    return logits!;
  }

  #pass(tokens: number, continues: boolean): Promise<Pass> {
    const key = `${tokens} ${continues}`;
    const known = this.#passes.get(key);
    if (known) return known;
    const made = this.#compile(tokens, continues);
    this.#passes.set(key, made);
    made.catch(() => this.#passes.delete(key));
    return made;
  }

  async #compile(tokens: number, continues: boolean): Promise<Pass> {
    const inputIds = new Variable([1, tokens], undefined, { dtype: 'i32', name: 'inputIds' });
    const at = new Variable([1], undefined, { dtype: 'i32', name: 'last position' });
    const context = new Context({ continues, prompt: this.#prompt, adapterIds: this.#adapterId });
    const rowsInFront = continues ? 0 : this.#front.rows;
    const rows = rowsInFront + tokens;
    // The padding behind a prompt has the position of its last token: the model may have none for it.
    const positions = continues ? {} : { positions: minimum(iota([rows]), broadcastTo(at, [rows])) };
    const hidden = this.#model.hiddenStates({ inputIds, cache: this.#cache, ...positions }, context);
    const width = hidden.shape[2]!;
    const last = take(reshape(hidden, [rows, width]), at);
    const logits = this.#model.outputEmbeddings.forward(last, context);
    const program = await this.#runtime.compile({ outputs: [logits], updates: this.#cache.takeUpdates() });
    return { inputIds, at, program, rowsInFront };
  }
}

/** Prompts are padded to a multiple of this, so that programs repeat. */
export const bucket = 64;
export const padded = (tokens: number): number => Math.ceil(tokens / bucket) * bucket;

/** A cache of this length is only described, never given memory. */
const moreThanAny = 2 ** 20;

/** What attachments put in front of a text. */
export interface Front {
  /** Positions: virtual tokens and prefixes. */
  readonly positions: number;
  /** Rows of the hidden states: virtual tokens. */
  readonly rows: number;
}

export function frontOf(model: CausalLM): Front {
  const cache = newCache(model, 1, moreThanAny);
  const inputIds = new Variable([1, 1], undefined, { dtype: 'i32' });
  const adapterIds = new Variable([1], undefined, { dtype: 'i32' });
  const hidden = model.hiddenStates({ inputIds, cache }, new Context({ adapterIds }));
  return { positions: cache.rows - 1, rows: hidden.shape[1]! - 1 };
}
