import type { GgufFile, JsonObject, Weights } from '@graftjs/checkpoint';
import { ggufConfig } from './gguf-configs.ts';
import { GgufKeys } from './gguf-keys.ts';
import { type GgufArchitecture, ggufNames } from './gguf-names.ts';
import { ggufWeights } from './gguf-weights.ts';

/** A GGUF file as `modelFrom` takes a model. */
export interface GgufModel {
  /** What `config.json` of the same model says. */
  readonly config: JsonObject;
  /** The tensors under transformers' names and in its layout, still in the file's blocks where these fit it. */
  readonly weights: Weights;
}

const supported = Object.keys(ggufNames);

/**
 * A GGUF file as a Hugging Face model: `modelFrom(config, weights, { architectures })` loads it. Its architecture may be
 * `llama` (which Mistral, TinyLlama and SmolLM2 are, too), `qwen2`, `qwen3`, `gpt2`, `gemma`, `gemma2`, `gemma3` or `phi3`.
 * @throws CheckpointError for another architecture, missing metadata, and variants that are not supported
 */
export async function ggufModel(gguf: GgufFile): Promise<GgufModel> {
  const arch = gguf.metadata.get('general.architecture') ?? '';
  const keys = new GgufKeys(gguf, arch);
  if (!isSupported(arch))
    throw keys.error(
      `its architecture is ${JSON.stringify(arch)}`,
      `Supported in GGUF are ${supported.slice(0, -1).join(', ')} and ${supported.at(-1)}; others as Hugging Face folders`,
    );
  const parts = keys.number('split.count') ?? 1;
  if (parts > 1)
    throw keys.error(
      `it is one of ${parts} parts of a model`,
      'Join them: `llama-gguf-split --merge FIRST WHOLE`',
    );
  if ((keys.number('{arch}.expert_count') ?? 0) > 0)
    throw keys.error('it is a mixture of experts', 'Such models are not supported');
  return { config: await ggufConfig(gguf, keys, arch), weights: ggufWeights(gguf, keys, arch) };
}

const isSupported = (arch: string): arch is GgufArchitecture => supported.includes(arch);
