/** Adapters in the weights of layers, and out of them again. */
import type { Runtime } from '@graftjs/compiler';
import { type Embedding, isQuantized, Linear, Parameter } from '@graftjs/nn';
import { MergeError, place } from '@graftjs/peft';
import { cast, type Tensor, type Variable } from '@graftjs/tensor';

/** What an adapter does to a parameter of a layer: f32, a linear layer's weight as `[out, in]`. */
export interface MergeChange {
  readonly field: 'weight' | 'bias';
  /** Of the parameter as it is now: the adapter added. */
  readonly merged: Tensor;
  /** Of the parameter as it is now, which has the adapter: without it. */
  readonly unmerged: Tensor;
  /** The change cannot be taken back from the merged values. */
  readonly keepOriginal?: boolean;
}

/** What can be merged into a layer. */
export interface Mergeable {
  readonly path: string;
  readonly base: Linear | Embedding;
  changes(): MergeChange[];
}

/** One layer's merging. */
export class LayerMerge {
  readonly #layer: Mergeable;
  /** Whether another module has the same parameter: merging must not change that one. */
  readonly #isShared: (parameter: Parameter) => boolean;
  /** Parameters that merged ones of the layer's own stand in for. */
  readonly #kept = new Map<MergeChange['field'], Parameter>();

  constructor(layer: Mergeable, isShared: (parameter: Parameter) => boolean) {
    this.#layer = layer;
    this.#isShared = isShared;
  }

  /** @throws MergeError where a merged parameter would not be finite; nothing was changed */
  async check(runtime: Runtime, adapterName: string): Promise<void> {
    const { path } = this.#layer;
    const changes = this.#layer.changes();
    const values = await runtime.evaluate(changes.map(({ merged }) => merged));
    for (const [i, { field }] of changes.entries())
      if (!values[i]!.every(Number.isFinite))
        throw new MergeError(
          adapterName,
          `the merged ${field} of ${path} is not finite everywhere; check the adapter's values`,
        );
  }

  async merge(runtime: Runtime): Promise<void> {
    const steps = this.#layer.changes().map((change) => {
      const { field, keepOriginal } = change;
      const original = this.#of(field);
      const { shape, dtype } = original;
      const name = `${this.#layer.path}.${field}`;
      const own =
        keepOriginal || isQuantized(original) || this.#isShared(original)
          ? new Parameter(shape, undefined, { dtype, name, trainable: false })
          : undefined;
      return { field, original, own, merged: this.#stored(change, 'merged') };
    });
    await run(
      runtime,
      steps.map(({ original, own, merged }) => [own ?? original, merged]),
    );
    for (const { field, original, own } of steps) {
      if (!own) continue;
      this.#kept.set(field, original);
      this.#place(field, own);
    }
  }

  async unmerge(runtime: Runtime): Promise<void> {
    const changes = this.#layer.changes();
    const computed = changes.filter(({ field }) => !this.#kept.has(field));
    await run(
      runtime,
      computed.map((change) => [this.#of(change.field), this.#stored(change, 'unmerged')]),
    );
    for (const [field, original] of this.#kept) {
      const own = this.#of(field);
      this.#place(field, original);
      runtime.release(own);
    }
    this.#kept.clear();
  }

  #of(field: MergeChange['field']): Parameter {
    return (this.#layer.base as Linear)[field]!;
  }

  #stored(change: MergeChange, which: 'merged' | 'unmerged'): Tensor {
    const { base } = this.#layer;
    const isMatrix = change.field === 'weight' && base instanceof Linear;
    const value = isMatrix ? base.asStored(change[which]) : change[which];
    return cast(value, this.#of(change.field).dtype);
  }

  #place(field: MergeChange['field'], parameter: Parameter): void {
    place({ module: this.#layer.base, field }, parameter);
  }
}

const run = async (runtime: Runtime, updates: readonly [Variable, Tensor][]): Promise<void> => {
  if (updates.length > 0) await (await runtime.compile({ updates })).run();
};
