/** A and B of a weighted sum of changes `s B A` of one layer. */
import { ConfigError, type TorchRandom } from '@graftjs/peft';
import type { CombinationOptions, CombinationType } from './combination-type.ts';
import { type Columns, productTriples, type SingularTriples, singularTriples } from './singular-values.ts';
import { combineTensors, type TaskArithmetic } from './task-arithmetic.ts';

/** A layer's A `[rank, in]` and B `[out, rank]` in one adapter, with its weight among the others. */
export interface WeightedFactors {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly scaling: number;
  readonly weight: number;
}

export interface CombinationPlan {
  readonly type: CombinationType;
  readonly rank: number;
  readonly random: TorchRandom;
  readonly options: CombinationOptions;
}

/** A `[rank, in]` and B `[out, rank]` of the sum. */
export interface Factors {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
}

/** The weighted sum of a layer's changes. */
export function combineFactors(parts: readonly WeightedFactors[], plan: CombinationPlan): Factors {
  const { type, rank } = plan;
  if (type === 'cat' || type === 'svd') {
    const { rows, columns } = stacked(parts);
    return type === 'cat' ? factorsOf(columns, rows, rank) : truncated(productTriples(columns, rows), plan);
  }
  if (type.endsWith('_svd')) return ofChanges(parts, plan);
  return ofFactors(parts, plan);
}

/** The rows of all A, weighted and scaled, and the columns of all B. */
function stacked(parts: readonly WeightedFactors[]): { rows: Columns; columns: Columns } {
  const rows = parts.flatMap(({ a, rank, inFeatures, weight, scaling }) =>
    Array.from({ length: rank }, (_, i) =>
      Float64Array.from(a.subarray(i * inFeatures, (i + 1) * inFeatures), (x) => x * weight * scaling),
    ),
  );
  const columns = parts.flatMap(({ b, rank, outFeatures }) =>
    Array.from({ length: rank }, (_, i) =>
      Float64Array.from({ length: outFeatures }, (_, k) => b[k * rank + i]!),
    ),
  );
  return { rows, columns };
}

/** Sums A and B apart: each is multiplied by the root of its weight and scale, and A by their sign. */
function ofFactors(
  parts: readonly WeightedFactors[],
  { type, rank, random, options }: CombinationPlan,
): Factors {
  const ranks = new Set(parts.map((part) => part.rank));
  if (ranks.size > 1)
    throw new ConfigError(
      'type',
      type,
      'a layer has another rank in each adapter (rank_pattern); use svd or cat',
    );
  const factors = parts.map(({ weight, scaling }) => weight * scaling);
  const roots = factors.map((factor) => Math.sqrt(Math.abs(factor)));
  const signed = roots.map((root, i) => (factors[i]! < 0 ? -root : root));
  const how = arithmeticOf(type, options);
  const sum = (tensors: Float32Array[], weights: number[]) => combineTensors(tensors, weights, how, random);
  const { inFeatures, outFeatures, rank: own } = parts[0]!;
  const a = sum(
    parts.map((part) => part.a),
    signed,
  );
  const b = sum(
    parts.map((part) => part.b),
    roots,
  );
  const row = (i: number): Float64Array =>
    Float64Array.from(a.subarray(i * inFeatures, (i + 1) * inFeatures));
  const column = (i: number): Float64Array =>
    Float64Array.from({ length: outFeatures }, (_, k) => b[k * own + i]!);
  const each = Array.from({ length: own }, (_, i) => i);
  return factorsOf(each.map(column), each.map(row), rank);
}

/** Sums the changes `s B A` and decomposes the sum. */
function ofChanges(parts: readonly WeightedFactors[], plan: CombinationPlan): Factors {
  const { inFeatures, outFeatures } = parts[0]!;
  const sum = combineTensors(
    parts.map(changeOf),
    parts.map(({ weight }) => weight),
    arithmeticOf(plan.type, plan.options),
    plan.random,
  );
  if (inFeatures <= outFeatures) {
    const column = (k: number): Float64Array =>
      Float64Array.from({ length: outFeatures }, (_, i) => sum[i * inFeatures + k]!);
    return truncated(singularTriples(Array.from({ length: inFeatures }, (_, k) => column(k))), plan);
  }
  const row = (i: number): Float64Array =>
    Float64Array.from(sum.subarray(i * inFeatures, (i + 1) * inFeatures));
  const { left, singular, right } = singularTriples(Array.from({ length: outFeatures }, (_, i) => row(i)));
  return truncated({ left: right, singular, right: left }, plan);
}

function changeOf({ a, b, rank, inFeatures, outFeatures, scaling }: WeightedFactors): Float32Array {
  const change = new Float32Array(outFeatures * inFeatures);
  for (let i = 0; i < outFeatures; i++)
    for (let k = 0; k < inFeatures; k++) {
      let sum = 0;
      for (let j = 0; j < rank; j++) sum += b[i * rank + j]! * a[j * inFeatures + k]!;
      change[i * inFeatures + k] = sum * scaling;
    }
  return change;
}

function arithmeticOf(
  type: CombinationType,
  { density, majoritySignMethod = 'total' }: CombinationOptions,
): TaskArithmetic {
  if (type === 'linear') return {};
  return {
    prune: type.startsWith('dare') ? 'random' : 'magnitude',
    density: density!,
    elect: type.includes('ties') ? majoritySignMethod : undefined,
  };
}

/** The largest singular triples: B has the left vectors times the values, A the right ones. */
function truncated({ left, singular, right }: SingularTriples, { rank, options }: CombinationPlan): Factors {
  const columns = left.slice(0, rank).map((vector, i) => vector.map((x) => x * singular[i]!));
  const rows = right.slice(0, rank);
  const { svdClamp } = options;
  if (svdClamp === undefined) return factorsOf(columns, rows, rank);
  const limit = quantile([...columns, ...rows], svdClamp);
  const clamped = (vectors: Columns): Columns =>
    vectors.map((vector) => vector.map((x) => Math.min(Math.max(x, -limit), limit)));
  return factorsOf(clamped(columns), clamped(rows), rank);
}

/** As `torch.quantile`: linear between neighbours. */
function quantile(vectors: Columns, share: number): number {
  const values = Float64Array.from(vectors.flatMap((vector) => [...vector])).sort();
  const at = share * (values.length - 1);
  const [low, high] = [values[Math.floor(at)]!, values[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** B from its columns and A from its rows; what is missing up to the rank is zero. */
function factorsOf(columns: Columns, rows: Columns, rank: number): Factors {
  const [outFeatures, inFeatures] = [columns[0]!.length, rows[0]!.length];
  const a = new Float32Array(rank * inFeatures);
  for (const [i, row] of rows.entries()) a.set(row, i * inFeatures);
  const b = new Float32Array(outFeatures * rank);
  for (const [i, column] of columns.entries())
    for (let k = 0; k < outFeatures; k++) b[k * rank + i] = column[k]!;
  return { a, b };
}
