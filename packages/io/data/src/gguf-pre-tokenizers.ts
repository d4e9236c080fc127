/**
 * How text is cut before byte pairs are merged, by the name in `tokenizer.ggml.pre`: the regular expressions of the
 * models' own tokenizer.json. Where llama.cpp approximates one, the model's own counts.
 */

/** GPT-2's expression, which Hugging Face's ByteLevel has built in. */
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const words = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const llama3 = `${contractions}|${words}|\\p{N}{1,3}|${rest}`;
const qwen2 = `${contractions}|${words}|\\p{N}|${rest}`;
const tekken =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|' +
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|' +
  '\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** What a name in `tokenizer.ggml.pre` stands for. */
export interface PreTokenizing {
  /** Cut by each in turn. */
  readonly splits: readonly string[];
  /** A piece that is a token is taken whole, merges or not. */
  readonly ignoreMerges?: true;
  /** Texts begin with BOS unless the file says otherwise. */
  readonly addBos?: true;
  /** Texts are brought into normal form C first. */
  readonly nfc?: true;
}

const byGpt2: PreTokenizing = { splits: [gpt2] };
const byDigits: PreTokenizing = { splits: ['\\p{N}', gpt2] };
const byLlama3: PreTokenizing = { splits: [llama3], ignoreMerges: true, addBos: true };
const byQwen2: PreTokenizing = { splits: [qwen2], nfc: true };

export const preTokenizings: Readonly<Record<string, PreTokenizing>> = {
  'gpt-2': byGpt2,
  'phi-2': byGpt2,
  olmo: byGpt2,
  mpt: byGpt2,
  smollm: byDigits,
  starcoder: byDigits,
  refact: byDigits,
  codeshell: byDigits,
  llama3: byLlama3,
  'llama-v3': byLlama3,
  'llama-bpe': byLlama3,
  falcon3: byLlama3,
  pixtral: byLlama3,
  dbrx: { splits: [llama3] },
  'smaug-bpe': { splits: [llama3] },
  qwen2: byQwen2,
  'deepseek-r1-qwen': byQwen2,
  megrez: byQwen2,
  tekken: { splits: [tekken], ignoreMerges: true, addBos: true },
};
