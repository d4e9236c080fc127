import type { Embedding } from '@graftjs/nn';
import { embedding } from '@graftjs/ops';
import { type AttachContext, ConfigError, normalRows } from '@graftjs/peft';
import { cast, constant, mul } from '@graftjs/tensor';
import type { InitialText } from './config.ts';

/** Ids of a text, special tokens included: `(text) => tokenizer.encode(text)` with the base's tokenizer. */
export type Encode = (text: string) => ArrayLike<number>;

/**
 * Initial virtual tokens, `[count, d]`.
 * @throws ConfigError for a text without an encoder, without tokens, or with tokens that the base does not have
 */
export async function initialPrompt(
  config: InitialText,
  layer: Embedding,
  count: number,
  encode: Encode | undefined,
  { random, runtime }: AttachContext,
): Promise<Float32Array<ArrayBuffer>> {
  const rowsOf = async (ids: Int32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> => {
    const rows = cast(embedding(constant(ids, [ids.length]), layer.weight), 'f32');
    return (await runtime.evaluate([mul(rows, layer.scale)]))[0] as Float32Array<ArrayBuffer>;
  };
  switch (config.promptTuningInit) {
    case 'SAMPLE_VOCAB':
      return rowsOf(Int32Array.from({ length: count }, () => Math.floor(random.uniform() * layer.count)));
    case 'TEXT':
      return rowsOf(textIds(config.promptTuningInitText ?? '', layer.count, count, encode));
    default:
      return normalRows(count, layer.dim, random);
  }
}

/** The tokens of a text, repeated or cut to `count`. */
function textIds(
  text: string,
  vocabulary: number,
  count: number,
  encode: Encode | undefined,
): Int32Array<ArrayBuffer> {
  const key = 'prompt_tuning_init_text';
  if (!encode)
    throw new ConfigError(key, text, 'needs a tokenizer: make the tuner with { encode: (text) => ids }');
  const ids = encode(text);
  if (ids.length === 0) throw new ConfigError(key, text, 'has no tokens: give some text');
  const strange = Array.from(ids).find((id) => !(id >= 0 && id < vocabulary));
  if (strange !== undefined)
    throw new ConfigError(
      key,
      text,
      `has token ${strange}, and the model has ${vocabulary} embeddings: give the tokenizer of this model`,
    );
  return Int32Array.from({ length: count }, (_, i) => ids[i % ids.length]!);
}
