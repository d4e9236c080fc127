/**
 * How LoRA's A `[r, in]` and B `[out, r]` start from the base's weight W `[out, in]`, with s the adapter's scale. Equal
 * to Hugging Face peft up to signs that cancel in B A.
 */

import {
  columnsOf,
  floats,
  largestSingularValues,
  matrixOf,
  orthonormal,
  range,
  singularValues,
} from '@graftjs/decompositions';
import {
  type LoraConfig,
  type LoraExtension,
  type LoraLayer,
  type LoraStart,
  startsFromData,
} from '@graftjs/lora';
import type { HostRandom } from '@graftjs/nn';
import { ConfigError } from '@graftjs/peft';
import { cast } from '@graftjs/tensor';
import type { Matrix } from 'ml-matrix';
import { leading, rootedStart } from './from-singular.ts';
import { loftq } from './loftq.ts';

/** The initial weights of `init_lora_weights` that are no numbers drawn at random: `loraWith(initializations)`. */
export const initializations: LoraExtension = {
  start: async (layer, { initLoraWeights, loftqConfig }, { random, runtime }) => {
    const name = String(initLoraWeights);
    if (startsFromData(initLoraWeights)) return undefined;
    if (name === 'loftq') return loftq(layer, loftqConfig, runtime);
    if (name === 'orthogonal') return orthogonal(layer, random);
    const [values] = await runtime.evaluate([cast(layer.base.matrix, 'f32')]);
    const weight = matrixOf(layer.base.outFeatures, layer.base.inFeatures, values!);
    checkRank(layer, name);
    if (name === 'olora') return olora(layer, weight);
    if (name === 'mica') return mica(layer, weight);
    return pissa(layer, weight, name, random);
  },
};

/** @throws ConfigError where a layer is smaller than its adapter's rank */
export function checkRank(layer: LoraLayer, name: LoraConfig['initLoraWeights'] | string): void {
  const [most, rank] = [Math.min(layer.base.inFeatures, layer.base.outFeatures), layer.a.shape[0]!];
  if (rank > most)
    throw new ConfigError('r', rank, `${JSON.stringify(name)} gives ${layer.path} at most the rank ${most}`);
}

/** PiSSA (Meng et al., 2024, arXiv:2404.02948): the largest part of W, s · B A = U_r S_r V_rᵀ, is what is trained. */
function pissa(layer: LoraLayer, weight: Matrix, name: string, random: HostRandom): LoraStart {
  const rank = layer.a.shape[0]!;
  const iterations = /^pissa_niter_(\d+)$/.exec(name)?.[1];
  const singular =
    iterations === undefined
      ? singularValues(weight)
      : largestSingularValues(weight, rank, Number(iterations), random);
  return rootedStart(singular, leading(rank), layer.scaling);
}

/** OLoRA (Büyükakyüz, 2024, arXiv:2406.01775): of W = Q R, B = Q_r and A = R_r. */
function olora(layer: LoraLayer, weight: Matrix): LoraStart {
  // The first columns of Q are those of W's first columns, and R = Qᵀ W.
  const b = orthonormal(columnsOf(weight, leading(layer.a.shape[0]!)));
  return { a: floats(b.transpose().mmul(weight)), b: floats(b), subtracted: true };
}

/** MiCA (arXiv:2604.01694): B, which is not trained, is the directions that W puts out least, and A is 0. */
function mica(layer: LoraLayer, weight: Matrix): LoraStart {
  const { u } = singularValues(weight);
  const last = range(u.columns - layer.a.shape[0]!, u.columns);
  return { a: new Float32Array(layer.a.size), b: floats(columnsOf(u, last)), subtracted: false };
}

/** B A = 0 with neither of them 0: they meet in halves of the rank that are orthogonal to each other. */
function orthogonal(layer: LoraLayer, random: HostRandom): LoraStart {
  const rank = layer.a.shape[0]!;
  if (rank % 2 !== 0)
    throw new ConfigError('r', rank, `must be even for orthogonal initial weights, as of ${layer.path}`);
  const normal = (rows: number, columns: number): Matrix =>
    matrixOf(
      rows,
      columns,
      Array.from({ length: rows * columns }, () => random.normal()),
    );
  const q = orthonormal(normal(rank, rank));
  const half = (first: number): Matrix => q.subMatrixRow(range(first, rank, 2)).mul(0.1);
  const { inFeatures, outFeatures } = layer.base;
  return {
    a: floats(
      normal(inFeatures, rank / 2)
        .mmul(half(0))
        .transpose(),
    ),
    b: floats(normal(outFeatures, rank / 2).mmul(half(1))),
    subtracted: false,
  };
}
