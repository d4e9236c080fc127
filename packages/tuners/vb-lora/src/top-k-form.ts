/**
 * The form of VB-LoRA's files with `save_only_topk_weights`: for each part the indices of its k vectors, and the first
 * k - 1 of their weights, which sum to 1. As integers of the least size that holds `num_vectors`.
 */
import type { AdapterState, AdapterTensor } from '@graftjs/peft';

const [indicesEnd, weightsEnd] = ['_topk_indices', '_topk_weights'];
/** Logit of a vector that is not chosen: its weight is exactly zero, and it is finite, as WGSL wants. */
const unchosen = -1e30;

interface Sizes {
  readonly topk: number;
  readonly numVectors: number;
}

export const topKForm = (sizes: Sizes) => ({
  encode: (state: AdapterState): AdapterState =>
    new Map(
      [...state].flatMap(([key, tensor]) => (isLogits(key) ? encoded(key, tensor, sizes) : [[key, tensor]])),
    ),
  decode: (state: AdapterState): AdapterState =>
    new Map([...state].flatMap(([key, tensor]) => decoded(key, tensor, state, sizes))),
});

const isLogits = (key: string): boolean => /\.vblora_logits_[AB]$/.test(key);

function encoded(
  key: string,
  { shape, data }: AdapterTensor,
  { topk, numVectors }: Sizes,
): [string, AdapterTensor][] {
  const parts = data.length / numVectors;
  const Integers = numVectors < 2 ** 8 ? Uint8Array : numVectors < 2 ** 15 ? Int16Array : Int32Array;
  const indices = new Integers(parts * topk);
  const weights = new Float32Array(parts * (topk - 1));
  for (let part = 0; part < parts; part++) {
    const logits = data.subarray(part * numVectors, (part + 1) * numVectors);
    const chosen = Array.from(logits.keys())
      .sort((i, j) => logits[j]! - logits[i]!)
      .slice(0, topk);
    indices.set(chosen, part * topk);
    const odds = chosen.map((i) => Math.exp(logits[i]! - logits[chosen[0]!]!));
    const total = odds.reduce((a, b) => a + b);
    for (let j = 0; j < topk - 1; j++) weights[part * (topk - 1) + j] = odds[j]! / total;
  }
  const lead = shape.slice(0, -1);
  return [
    [`${key}${indicesEnd}`, { shape: [...lead, topk], data: indices }],
    [`${key}${weightsEnd}`, { shape: [...lead, topk - 1], data: weights }],
  ];
}

function decoded(
  key: string,
  tensor: AdapterTensor,
  state: AdapterState,
  { topk, numVectors }: Sizes,
): [string, AdapterTensor][] {
  const of = key.replace(indicesEnd, '').replace(weightsEnd, '');
  const [indices, weights] = [state.get(of + indicesEnd), state.get(of + weightsEnd)];
  const fits = indices?.shape.at(-1) === topk && weights?.shape.at(-1) === topk - 1;
  if (of === key || !fits) return [[key, tensor]];
  if (key.endsWith(weightsEnd)) return [];
  const parts = indices.data.length / topk;
  const logits = new Float32Array(parts * numVectors).fill(unchosen);
  for (let part = 0; part < parts; part++) {
    let rest = 1;
    for (let j = 0; j < topk; j++) {
      const weight = j < topk - 1 ? weights.data[part * (topk - 1) + j]! : rest;
      rest -= weight;
      logits[part * numVectors + indices.data[part * topk + j]!] = Math.max(
        Math.log(Math.max(weight, 0)),
        unchosen,
      );
    }
  }
  return [[of, { shape: [...indices.shape.slice(0, -1), numVectors], data: logits }]];
}
