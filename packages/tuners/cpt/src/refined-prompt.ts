/**
 * Context-aware prompt tuning (Blau et al., 2024, arXiv:2410.17222): the embeddings E `[n, d]` of examples stand in front
 * of the text, and a bounded change of them is trained,
 *
 *     P = E + Π(δ),   Π(δ)ᵢ = δᵢ εᵢ / max(‖δᵢ‖, εᵢ)
 *
 * εᵢ is one bound for tokens of inputs and one for those of templates, times √(d / 2048), and 10⁻¹⁰ for labels, which
 * are not trained. The gradient of Π is taken for the identity, as in PEFT.
 */
import { Context, type Embedding, Module, Parameter } from '@graftjs/nn';
import { newTable, PROMPT_KEY, type PromptEncoder } from '@graftjs/peft';
import { add, constant, detach, div, maximum, mul, sqrt, sub, sum, type Tensor } from '@graftjs/tensor';
import type { CptConfig } from './config.ts';

export class RefinedPrompt extends Module implements PromptEncoder {
  /** δ */
  readonly delta_embedding: Embedding;
  readonly #examples: Tensor;
  readonly #config: CptConfig;

  /** @param examples E */
  constructor(config: CptConfig, width: number, examples: Float32Array<ArrayBuffer>) {
    super();
    this.#config = config;
    this.#examples = new Parameter([config.numVirtualTokens, width], examples, { trainable: false });
    this.delta_embedding = newTable(config.numVirtualTokens, width);
  }

  forward(_context: Context): Tensor {
    const delta = this.delta_embedding.weight;
    const [n, width] = delta.shape as [number, number];
    const column = (values: readonly number[]): Tensor => constant(Float32Array.from(values), [n, 1]);
    const bounds = column(boundsOf(this.#config, width));
    const trained = column(this.#config.cptTokensTypeMask.map((type) => (type % 4 === 0 ? 0 : 1)));
    const norm = sqrt(sum(mul(delta, delta), [1], { keepDims: true }));
    const projected = detach(mul(delta, div(bounds, maximum(norm, bounds))));
    // Zero in value, δ in gradient, where it is trained.
    const carrier = mul(sub(delta, detach(delta)), trained);
    return add(this.#examples, add(projected, carrier));
  }

  get saved(): Record<string, Tensor> {
    return { [PROMPT_KEY]: this.forward(new Context()) };
  }
}

/** εᵢ of every token. */
function boundsOf(
  { cptTokensTypeMask, optProjectionEpsilon, optProjectionFormatEpsilon }: CptConfig,
  width: number,
): number[] {
  const scale = Math.sqrt(width / 2048);
  return cptTokensTypeMask.map((type) => {
    if (type % 4 === 0) return 1e-10;
    return scale * (type % 4 === 2 ? optProjectionEpsilon : optProjectionFormatEpsilon);
  });
}
