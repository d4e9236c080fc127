import { Context, type Module } from '@graftjs/nn';
import { ConfigError, type PeftModel, PROMPT_KEY, type PromptConfig } from '@graftjs/peft';
import { concat, narrow, permute, reshape, type Tensor, Variable } from '@graftjs/tensor';
import { findLayers } from './layers.ts';

/** A model that reads tokens `[b, t]`. */
interface ReadsTokens {
  forward(inputs: { readonly inputIds: Tensor }, context: Context): Tensor;
}

/**
 * Lets a prefix start as the keys and values that the base makes of a text's first tokens, as many as the prefix has:
 * with it the model reads on as if the text stood in front. For Cartridge and for prefix tuning without projection, in
 * decoders; to be called after `addAdapter`, before an optimizer is made.
 *
 * @throws ConfigError where the text is too short or the adapter is an encoder-decoder's; AdapterStateError where it has no
 *   such prefix
 */
export async function startFromTokens(
  peft: PeftModel<Module & ReadsTokens>,
  tokenIds: readonly number[],
  adapter = 'default',
): Promise<void> {
  const attached = peft.attached(adapter);
  const { numVirtualTokens: n, numTransformerSubmodules } = attached.config as PromptConfig;
  if (numTransformerSubmodules !== 1)
    throw new ConfigError(
      'num_transformer_submodules',
      numTransformerSubmodules,
      `adapter ${adapter} has no prefix of a decoder, which a text could start`,
    );
  if (tokenIds.length < n)
    throw new ConfigError(
      'num_virtual_tokens',
      n,
      `adapter ${adapter} cannot start from a text of ${tokenIds.length} tokens: it needs as many`,
    );
  const inputIds = new Variable([1, n], Int32Array.from(tokenIds.slice(0, n)));
  const seen = peft.withoutAdapters((model) => keysAndValues(model, inputIds));
  const table = concat(
    seen.map((part) =>
      reshape(permute(narrow(part, 0, 0, 1), [0, 2, 1, 3]), [n, part.shape[1]! * part.shape[3]!]),
    ),
    1,
  );
  const [data] = await peft.runtime.evaluate([table]);
  attached.fromStateDict(new Map([[PROMPT_KEY, { shape: table.shape, data: data as Float32Array }]]));
}

/** Keys and values `[1, kvHeads, n, headDim]` of every layer, a layer's keys before its values. */
function keysAndValues(model: Module & ReadsTokens, inputIds: Tensor): Tensor[] {
  const sites = [...findLayers(model).layers.values()].flatMap(({ keys, values }) => [keys, values]);
  const seen: Tensor[] = [];
  for (const [i, site] of sites.entries())
    site.attach('START_FROM_TOKENS', (value) => {
      seen[i] = value;
      return value;
    });
  try {
    model.forward({ inputIds }, new Context());
  } finally {
    for (const site of sites) site.detach('START_FROM_TOKENS');
  }
  return seen;
}
