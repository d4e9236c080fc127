import type { Runtime } from '@graftjs/compiler';
import type { LoraLayer } from '@graftjs/lora';
import { type CausalLM, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import type { PeftModel } from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';

/** Texts padded on the right, as `collate` of `@graftjs/data` makes them: arrays are `[batchSize, length]`. */
export interface TextBatch {
  readonly inputIds: Int32Array<ArrayBuffer>;
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: Int32Array<ArrayBuffer>;
  /** Not shifted; -100 where nothing is learnt. */
  readonly labels: Int32Array<ArrayBuffer>;
  readonly batchSize: number;
  readonly length: number;
}

/** Layers that see the same input, the first named first. */
export interface SharedInput {
  readonly layers: readonly LoraLayer[];
  /** `[b, t, in]` */
  readonly input: Tensor;
}

const key = 'inputs of initial weights';

const idsOf = ({ inputIds, batchSize, length }: TextBatch): Variable =>
  new Variable([batchSize, length], inputIds.slice());

/** What the base gives to layers for a batch. */
export function inputsOf(
  peft: PeftModel<CausalLM>,
  layers: readonly LoraLayer[],
  batch: TextBatch,
): SharedInput[] {
  const seen = new Map<Tensor, LoraLayer[]>();
  for (const layer of layers)
    layer.base.output.attach(key, (output, { input }) => {
      seen.set(input, [...(seen.get(input) ?? []), layer]);
      return output;
    });
  try {
    peft.withoutAdapters((model) => model.forward({ inputIds: idsOf(batch) }, new Context()));
  } finally {
    for (const layer of layers) layer.base.output.detach(key);
  }
  return [...seen].map(([input, at]) => ({ input, layers: at }));
}

/** The gradients of a batch's mean loss for the layers' weights, `[out, in]` each as its weight is stored. */
export function weightGradients(
  runtime: Runtime,
  peft: PeftModel<CausalLM>,
  layers: readonly LoraLayer[],
  batch: TextBatch,
): Promise<ArrayLike<number>[]> {
  const { labels, batchSize, length } = batch;
  const learnt = labels.filter((label, i) => label !== -100 && i % length > 0).length;
  const given = new Variable([batchSize, length], labels.slice());
  const loss = peft.withoutAdapters((model) =>
    mul(
      tokenLossSum(model.forward({ inputIds: idsOf(batch) }, new Context()), given),
      1 / Math.max(1, learnt),
    ),
  );
  const weights = layers.map(({ base }) => base.weight);
  return runtime.evaluate(gradients(loss, weights));
}
