/**
 * Rows of an embedding that are trained while the rest of its table is frozen:
 *
 *     y = rows[k] where id is the k-th of the trained tokens, else table[id]      (times the embedding's own scale)
 *
 * A head that shares the table has the rows, too: its logit of such a token is rows[k] · h.
 */
import type { Runtime } from '@graftjs/compiler';
import {
  Embedding,
  type EmbeddingDetails,
  type HostRandom,
  Linear,
  type LinearDetails,
  type Module,
  normalArray,
  Parameter,
} from '@graftjs/nn';
import { ConfigError, MergeError } from '@graftjs/peft';
import {
  cast,
  less,
  linear,
  maximum,
  mul,
  reshape,
  type Tensor,
  take,
  transpose,
  Variable,
  where,
} from '@graftjs/tensor';

export interface TokenRowsOptions {
  /** Of the embedding, or of a head. */
  readonly path: string;
  readonly indices: readonly number[];
  /** Rows start as those of the table, else standard normal. */
  readonly fromTable: boolean;
  readonly random: HostRandom;
  /** Of the config, for messages. */
  readonly key: string;
}

export class TokenRows {
  readonly path: string;
  /** `[tokens, dim]`, f32. */
  readonly delta: Parameter;
  readonly #table: Parameter;
  readonly #indices: Variable;
  /** For each token of the vocabulary which row it has, -1 for none. */
  readonly #rowOf: Variable;
  readonly #fromTable: boolean;
  readonly #embeddings: readonly Embedding[];
  readonly #heads: readonly Linear[];
  /** Other modules with the same table. */
  readonly tied: readonly string[];
  #before: Variable | undefined;

  /** @throws ConfigError for indices that are no tokens, or twice there */
  constructor(model: Module, module: Embedding | Linear, options: TokenRowsOptions) {
    const { path, indices, key } = options;
    const [count, dim] = module.weight.shape as [number, number];
    const wrong = indices.find(
      (id, i) => !(Number.isSafeInteger(id) && id >= 0 && id < count) || indices.indexOf(id) !== i,
    );
    if (indices.length === 0) throw new ConfigError(key, indices, `names no token of ${path}`);
    if (wrong !== undefined)
      throw new ConfigError(
        key,
        wrong,
        `must be ${indices.length} different tokens of the ${count} of ${path}`,
      );
    this.path = path;
    this.#table = module.weight;
    this.#fromTable = options.fromTable;
    this.delta = new Parameter(
      [indices.length, dim],
      options.fromTable ? undefined : normalArray(indices.length * dim, 1, options.random),
      { name: `${path}.trainable_tokens_delta`, trainable: false },
    );
    this.#indices = new Variable([indices.length], Int32Array.from(indices));
    const rowOf = new Int32Array(count).fill(-1);
    for (const [row, id] of indices.entries()) rowOf[id] = row;
    this.#rowOf = new Variable([count], rowOf);
    const all = [...model.namedModules()];
    const sharing = all.map(([, other]) => other);
    this.#embeddings = sharing.filter(
      (m): m is Embedding => m instanceof Embedding && m.weight === module.weight,
    );
    this.#heads = sharing.filter((m): m is Linear => m instanceof Linear && m.weight === module.weight);
    this.tied = all.flatMap(([name, other]) =>
      other !== module && (other as Partial<Linear>).weight === module.weight ? [name] : [],
    );
  }

  initialValues(): [Variable, Tensor][] {
    return this.#fromTable ? [[this.delta, cast(take(this.#table, this.#indices), 'f32')]] : [];
  }

  attach(key: string): void {
    for (const { output } of this.#embeddings) output.attach(key, (y, details) => this.#embed(y, details));
    for (const { output } of this.#heads) output.attach(key, (y, details) => this.#judge(y, details));
  }

  detach(key: string): void {
    for (const { output } of [...this.#embeddings, ...this.#heads]) output.detach(key);
  }

  /** @throws MergeError where the rows are not finite */
  async check(runtime: Runtime, adapterName: string): Promise<void> {
    if (!(await runtime.read(this.delta)).every(Number.isFinite))
      throw new MergeError(
        adapterName,
        `the trained rows of ${this.path} are not finite everywhere; check the adapter's values`,
      );
  }

  async merge(runtime: Runtime): Promise<void> {
    this.#before = await runtime.materialize(take(this.#table, this.#indices), `${this.path} rows`);
    await this.#write(runtime, this.delta);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    await this.#write(runtime, this.#before!);
    runtime.release(this.#before!);
    this.#before = undefined;
  }

  async #write(runtime: Runtime, rows: Variable): Promise<void> {
    const table = this.#table;
    const row = this.#rowOf;
    const changed = where(
      reshape(less(row, 0), [table.shape[0]!, 1]),
      table,
      cast(take(rows, maximum(row, 0)), table.dtype),
    );
    await (await runtime.compile({ updates: [[table, changed]] })).run();
  }

  /** An embedding's output, `[..., dim]`. */
  #embed(output: Tensor, { ids, layer }: EmbeddingDetails): Tensor {
    const row = take(this.#rowOf, ids);
    const isOther = reshape(less(row, 0), [...ids.shape, 1]);
    const own = mul(take(this.delta, maximum(row, 0)), layer.scale);
    return where(isOther, output, cast(own, output.dtype));
  }

  /** A head's output, `[..., vocabulary]`. */
  #judge(output: Tensor, { input, layer }: LinearDetails): Tensor {
    const bias = layer.bias && take(layer.bias, this.#indices);
    const own = linear(cast(input, 'f32'), this.delta, bias);
    const positions = output.size / output.shape.at(-1)!;
    const byToken = transpose(reshape(own, [positions, this.#indices.size]));
    const spread = transpose(take(byToken, maximum(this.#rowOf, 0)));
    return where(less(this.#rowOf, 0), output, cast(reshape(spread, output.shape), output.dtype));
  }
}
