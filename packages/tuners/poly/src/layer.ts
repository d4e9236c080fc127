/**
 * Poly (Ponti et al., 2022, arXiv:2202.13914) and multi-head routing (Caccia et al., 2023, arXiv:2211.03831): a layer
 * has S skills, each a LoRA of rank r, and each task τ its mixture of them,
 *
 *     y = x Wᵀ + x A_τ B_τ / r,     A_τ = Σₛ w_τₛ Aₛ `[in, r]`,   B_τ = Σₛ w_τₛ Bₛ `[r, out]`,
 *     w_τ = z_τ / (Σₛ z_τₛ + 10⁻¹²),   z_τ = σ(logits_τ)
 *
 * With several splits inputs and outputs are cut into as many parts, and each part has mixtures of its own. In training
 * z is drawn (relaxed Bernoulli, temperature 1): z = σ(logits + ln u - ln(1 - u)), u uniform.
 */
import {
  type Context,
  dropoutDraw,
  type HostRandom,
  type Linear,
  Parameter,
  uniformArray,
} from '@graftjs/nn';
import { type LayerAdapter, TaskIdsError } from '@graftjs/peft';
import {
  add,
  cast,
  div,
  log,
  matmul,
  mul,
  permute,
  reshape,
  sigmoid,
  sub,
  sum,
  type Tensor,
  take,
  uniform,
} from '@graftjs/tensor';

export interface PolyOptions {
  readonly r: number;
  readonly nTasks: number;
  readonly nSkills: number;
  readonly nSplits: number;
  readonly initWeights: boolean;
}

/** The skills of a layer, near no change, and the tasks' mixtures. */
export function newPolyLayer(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { r, nTasks, nSkills, nSplits, initWeights }: PolyOptions,
  random: HostRandom,
): LayerAdapter {
  const [d, e] = [inFeatures / nSplits, outFeatures / nSplits];
  const drawn = (shape: readonly [number, number, number, number], bound: number): Parameter =>
    new Parameter(shape, uniformArray(shape[0] * shape[1] * shape[2] * shape[3], bound, random));
  // As torch's Linear starts: uniform in ±1/√in of the matrix.
  const A = drawn([nSplits, nSkills, d, r], 1 / Math.sqrt(d));
  const B = initWeights
    ? new Parameter([nSplits, nSkills, r, e])
    : drawn([nSplits, nSkills, r, e], 1 / Math.sqrt(r));
  const logits = new Parameter(
    [nTasks, nSplits * nSkills],
    uniformArray(nTasks * nSplits * nSkills, 1e-3, random),
  );
  /** `[b | 1, nSplits, nSkills]` */
  const mixture = (context: Context): Tensor => {
    const { taskIds } = context;
    if (!taskIds && nTasks > 1) throw new TaskIdsError(nTasks);
    const chosen = taskIds ? take(logits, taskIds) : logits;
    const z = sigmoid(context.training ? add(chosen, noise(chosen, context, path)) : chosen);
    const w = reshape(z, [chosen.shape[0]!, nSplits, nSkills]);
    return div(w, add(sum(w, [-1], { keepDims: true }), 1e-12));
  };
  /** Σₛ wₛ Mₛ: w `[b, q, s]`, M `[q, s, m, n]` -> `[b, q, m, n]`. */
  const mixed = (w: Tensor, matrices: Tensor): Tensor => {
    const [q, s, m, n] = matrices.shape as [number, number, number, number];
    const rows = matmul(permute(w, [1, 0, 2]), reshape(matrices, [q, s, m * n])); // [q, b, m n]
    return permute(reshape(rows, [q, w.shape[0]!, m, n]), [1, 0, 2, 3]);
  };
  return {
    parameters: { poly_lora_A: A, poly_lora_B: B, 'poly_router.module_logits': logits },
    output: (y, { input, context }) => {
      const w = mixture(context);
      const b = w.shape[0]!;
      const down = reshape(mixed(w, A), [b, inFeatures, r]);
      const up = reshape(permute(mixed(w, B), [0, 2, 1, 3]), [b, r, outFeatures]);
      const change = matmul(matmul(cast(input, 'f32'), down), up);
      return add(y, cast(mul(change, 1 / r), y.dtype));
    },
  };
}

/** ln u - ln(1 - u), u uniform in (0, 1). @throws DropoutSeedError where the pass has no seed */
function noise({ shape }: Tensor, context: Context, path: string): Tensor {
  const { seed, stream } = dropoutDraw(context, `${path}: the mixture of Poly`);
  const u = add(uniform(seed, stream, shape), 2 ** -25);
  return sub(log(u), log(sub(1, u)));
}
