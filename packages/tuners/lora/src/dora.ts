/**
 * Weight-decomposed low-rank adaptation of one linear layer, DoRA (Liu et al., 2024, arXiv:2402.09353): the weight's
 * rows have a direction, which LoRA changes, and a magnitude m `[out]`, which is trained beside it:
 *
 *     W' = c ∘ (W + s B A),   c = m / ‖W + s B A‖ of each row (a factor of each output)
 *     y  = x W'ᵀ + b
 *
 * m starts as that norm, so a new adapter changes nothing. As the paper and PEFT have it, the norm is a constant to the
 * gradient, and with dropout both terms of the difference to the frozen layer see the dropped input:
 *
 *     y  = x Wᵀ + b + (c - 1) ∘ (dropout(x) Wᵀ) + c ∘ s B A dropout(x)
 *
 * Without dropout the second term is the layer's output without its bias, and costs no other product with W.
 */
import type { Runtime } from '@graftjs/compiler';
import type { Linear, LinearDetails, Parameter } from '@graftjs/nn';
import {
  add,
  cast,
  detach,
  div,
  linear,
  matmul,
  maximum,
  mul,
  reshape,
  sqrt,
  sub,
  sum,
  type Tensor,
  transpose,
  type Variable,
} from '@graftjs/tensor';
import { LoraLayer, type LoraLayerOptions, type LoraParameter } from './layer.ts';
import type { MergeChange } from './merge.ts';

/**
 * ‖W + s B A‖ of each row, `[out]`, without that matrix: a row's square is ‖w‖² + 2 s (w Aᵀ)·β + s² (β A Aᵀ)·β with β
 * its row of B, which needs memory for `[out, r]` only.
 *
 * The terms cancel where s B A takes most of W away: where the norm is 1/κ of ‖w‖, its relative error is about κ² 1e-7
 * (the matrix itself would have κ 1e-7). Trained adapters have κ near 1. A row of zeros has the norm 1e-19 and not 0, so
 * that nothing is divided by 0.
 */
export function rowNorms(w: Tensor, a: Tensor, b: Tensor, s: number): Tensor {
  const rows = (x: Tensor, y: Tensor): Tensor => sum(mul(x, y), [1]);
  const across = rows(matmul(w, transpose(a)), b);
  const own = rows(matmul(b, matmul(a, transpose(a))), b);
  return sqrt(maximum(add(add(rows(w, w), mul(across, 2 * s)), mul(own, s * s)), 1e-38));
}

/** An adapter's part at one linear layer. */
export class DoraLayer extends LoraLayer {
  /** m, `[out]`, f32. */
  readonly magnitude: Parameter;
  /** c while the adapter is merged: the base's weight does not give it any more. */
  #factor: Variable | undefined;
  #invertible = true;

  constructor(base: Linear, options: LoraLayerOptions) {
    super(base, options);
    this.magnitude = this.parameter('lora_magnitude_vector', [base.outFeatures]);
  }

  override parameters(): LoraParameter[] {
    const name = 'lora_magnitude_vector';
    return [...super.parameters(), { name, field: 'weight', onDisk: name, parameter: this.magnitude }];
  }

  override initialValues(): [Variable, Tensor][] {
    return [[this.magnitude, this.#norms()]];
  }

  override forward(output: Tensor, { input, context }: LinearDetails): Tensor {
    const { base } = this;
    const factor = div(this.magnitude, detach(this.#norms()));
    const x = this.drop(input, context);
    const y = cast(this.withoutStart(output, input), 'f32');
    let product = y;
    if (this.drops(context)) product = linear(x, this.baseMatrix());
    else if (base.bias) product = sub(y, cast(base.bias, 'f32'));
    const change = add(mul(sub(factor, 1), product), mul(factor, this.change(x)));
    return cast(add(y, change), output.dtype);
  }

  /** Finds c, while the base's weight is its own. */
  async prepareMerge(runtime: Runtime): Promise<void> {
    this.#factor = await runtime.materialize(div(this.magnitude, this.#norms()), `${this.path} factor`);
    this.#invertible = (await runtime.read(this.#factor)).every((c) => c !== 0);
  }

  override changes(): MergeChange[] {
    const factor = reshape(this.#factor!, [this.base.outFeatures, 1]);
    const merged = mul(factor, add(this.baseMatrix(), this.delta()));
    const unmerged = this.plusStart(sub(div(this.storedMatrix(), factor), this.delta()));
    return [{ field: 'weight', merged, unmerged, keepOriginal: !this.#invertible }];
  }

  #norms(): Tensor {
    return rowNorms(this.baseMatrix(), this.a, this.b, this.scaling);
  }
}
