export const name = '@graftjs/tiny-llama';

/**
 * Where the package's files are: a `file:` URL in Node, one to fetch in a browser. Each is written out, because
 * bundlers find files by this very expression.
 */
export const tinyLlamaFiles = {
  'config.json': new URL('../files/config.json', import.meta.url),
  'generation_config.json': new URL('../files/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../files/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../files/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../files/tokenizer_config.json', import.meta.url),
  'quickstart/train.jsonl': new URL('../files/quickstart/train.jsonl', import.meta.url),
  'quickstart/heldout.jsonl': new URL('../files/quickstart/heldout.jsonl', import.meta.url),
} as const;
