/**
 * Activated LoRA, aLoRA (Greenewald et al., 2025, arXiv:2504.12397): a text has the adapter from the last place on where
 * the tokens stand that invoke it. What is before that place is the base's, so that a cache of it serves the base and
 * every such adapter:
 *
 *     y = x Wᵀ + b + [token at or after the invocation] · s · (B A dropout(x) + b_B)
 *
 * A text without these tokens is the base's. What is generated after a prompt that has them has the adapter, and what is
 * generated invokes nothing, as in PEFT. Texts that are packed into one row are one text here, as there.
 */
import { Linear, type LinearDetails } from '@graftjs/nn';
import { ConfigError, MergeError } from '@graftjs/peft';
import { add, cast, type Tensor, unsqueeze, where } from '@graftjs/tensor';
import { LoraLayer, type LoraLayerOptions } from '../layer.ts';
import type { LoraExtension } from '../lora.ts';
import { forgetIds, isInvoked, tellIds, textEmbeddings } from './invocation.ts';

/** aLoRA: `loraWith(activated)`. */
export const activated: LoraExtension = {
  knows: ['aloraInvocationTokens'],
  supports: (module) => module instanceof Linear,
  layer: (module, { aloraInvocationTokens }, options) =>
    aloraInvocationTokens ? new ActivatedLayer(module as Linear, options, aloraInvocationTokens) : undefined,
  beside: (model, { aloraInvocationTokens }) => {
    if (!aloraInvocationTokens) return [];
    const embeddings = textEmbeddings(model, aloraInvocationTokens);
    return [
      {
        attach: (key) => tellIds(embeddings, key),
        detach: (key) => {
          forgetIds(embeddings, key);
        },
      },
    ];
  },
};

/** An adapter's part at one linear layer. */
export class ActivatedLayer extends LoraLayer {
  readonly invocation: readonly number[];

  constructor(base: Linear, options: LoraLayerOptions, invocation: readonly number[]) {
    super(base, options);
    this.invocation = invocation;
  }

  /** @throws ConfigError where the layer's input is not that of the pass's tokens */
  override forward(output: Tensor, { input, context }: LinearDetails): Tensor {
    const invoked = isInvoked(context, this.invocation);
    const [b, t] = invoked.shape;
    if (input.rank !== 3 || input.shape[0] !== b || input.shape[1] !== t)
      throw new ConfigError(
        'alora_invocation_tokens',
        this.invocation,
        `${this.path} has inputs of shape [${input.shape}] in a pass over ${b} texts of ${t} tokens`,
      );
    const change = this.change(this.drop(input, context));
    return add(output, cast(where(unsqueeze(invoked, -1), change, 0), output.dtype));
  }

  async prepareMerge(): Promise<void> {
    throw new MergeError(this.path, 'aLoRA changes a part of each text, and weights change all of it');
  }
}
