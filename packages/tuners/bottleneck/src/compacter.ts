/**
 * Compacter (Karimi Mahabadi et al., 2021, arXiv:2106.04647): the projections of a bottleneck as sums of n Kronecker
 * products, n = `phm_dim`,
 *
 *     y = x Σᵢ Aᵢ ⊗ Wᵢ + b,     Aᵢ [n, n], Wᵢ [in / n, out / n]
 *
 * with Wᵢ = Lᵢ Rᵢ of rank `phm_rank` where `factorized_phm_W` is set. The rule A is one for all projections with
 * `shared_phm_rule`, and W one for all of a side with `shared_W_phm`.
 *
 * Source of the options' meaning: `PHMLayer` in `adapters/methods/modeling.py` of AdapterHub.
 */
import { type HostRandom, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import { add, matmul, permute, reshape, type Tensor, transpose } from '@graftjs/tensor';
import type { BottleneckConfig } from './config.ts';
import type { Projection, ProjectionShape, Side } from './projection.ts';

type Named = Readonly<Record<string, Parameter>>;

/** Σᵢ Aᵢ ⊗ Wᵢ: A `[n, n, n]`, W `[n, p, q]` -> `[n p, n q]`. */
export function kroneckerSum(rule: Tensor, weight: Tensor): Tensor {
  const [n, p, q] = weight.shape as [number, number, number];
  const entries = transpose(reshape(rule, [n, n * n])); // [n n, i]
  const blocks = reshape(matmul(entries, reshape(weight, [n, p * q])), [n, n, p, q]);
  return reshape(permute(blocks, [0, 2, 1, 3]), [n * p, n * q]);
}

/** What the Compacter projections of one adapter share, by AdapterHub's names. */
export function sharedParameters(config: BottleneckConfig, hidden: number, random: HostRandom): Named {
  const units = Math.max(1, Math.floor(hidden / (config.reductionFactor as number)));
  return {
    ...(config.sharedWPhm
      ? {
          ...suffixed('down', newWeight(config, hidden, units, random)),
          ...suffixed('up', newWeight(config, units, hidden, random)),
        }
      : {}),
    ...(config.sharedPhmRule ? newRule(config, config.phmInitRange, 1, random) : {}),
  };
}

/** A projection as a sum of Kronecker products. */
export function compacterProjection(
  { side, inFeatures, outFeatures }: ProjectionShape,
  config: BottleneckConfig,
  shared: Named,
  random: HostRandom,
): Projection {
  const weight = config.sharedWPhm
    ? sharedWeight(side, shared)
    : newWeight(config, inFeatures, outFeatures, random);
  const rule = config.sharedPhmRule ? shared : newRule(config, 0.01, 0.01, random);
  const bias = config.phmBias ? { b: new Parameter([outFeatures]) } : {};
  const ownRule = config.sharedPhmRule ? {} : rule;
  return {
    parameters: {
      ...(config.learnPhm ? ownRule : {}),
      ...(config.sharedWPhm ? {} : weight),
      ...bias,
    },
    buffers: config.learnPhm ? {} : ownRule,
    apply: (x) => {
      const y = matmul(x, kroneckerSum(whole('phm_rule', rule), whole('W', weight)));
      return bias.b ? add(y, bias.b) : y;
    },
  };
}

/** A matrix of three axes, or the product of its two factors. */
const whole = (name: string, parts: Named): Tensor =>
  parts[name] ?? matmul(parts[`${name}_left`]!, parts[`${name}_right`]!);

/** Normal with deviation √(2 / (in + out)) (Glorot), whatever `hypercomplex_nonlinearity` says: so does AdapterHub. */
function newWeight(
  { phmDim: n, phmRank, factorizedPhmW }: BottleneckConfig,
  inFeatures: number,
  outFeatures: number,
  random: HostRandom,
): Named {
  const glorot = (rows: number, columns: number): Parameter =>
    new Parameter(
      [n, rows, columns],
      normalArray(n * rows * columns, Math.sqrt(2 / (rows + columns)), random),
    );
  const [p, q] = [inFeatures / n, outFeatures / n];
  return factorizedPhmW ? { W_left: glorot(p, phmRank), W_right: glorot(phmRank, q) } : { W: glorot(p, q) };
}

function newRule(
  { phmDim: n, phmCInit, factorizedPhmRule }: BottleneckConfig,
  deviation: number,
  bound: number,
  random: HostRandom,
): Named {
  const part = (shape: readonly [number, number, number]): Parameter => {
    const size = shape[0] * shape[1] * shape[2];
    return new Parameter(
      shape,
      phmCInit === 'normal' ? normalArray(size, deviation, random) : uniformArray(size, bound, random),
    );
  };
  return factorizedPhmRule
    ? { phm_rule_left: part([n, n, 1]), phm_rule_right: part([n, 1, n]) }
    : { phm_rule: part([n, n, n]) };
}

/** `W_left` of a side among what is shared: `W_down_left`. */
const suffixed = (side: Side, weight: Named): Named =>
  Object.fromEntries(Object.entries(weight).map(([name, p]) => [name.replace('W', `W_${side}`), p]));

const sharedWeight = (side: Side, shared: Named): Named =>
  Object.fromEntries(
    Object.entries(shared).flatMap(([name, p]): [string, Parameter][] =>
      name.startsWith(`W_${side}`) ? [[name.replace(`W_${side}`, 'W'), p]] : [],
    ),
  );
