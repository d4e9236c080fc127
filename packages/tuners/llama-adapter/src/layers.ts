import type { Module } from '@graftjs/nn';
import { ConfigError, TargetError } from '@graftjs/peft';
import { DecoderBlock, MultiHeadAttention } from '@graftjs/transformer';
import type { LlamaAdapterConfig } from './config.ts';
import { type PromptedLayer, projectionsOf } from './prompted-attention.ts';

/** Last part of the attention's path, by model type; others have Llama's. */
const targetOf = (modelType: string | undefined): string => (modelType === 'gpt2' ? 'attn' : 'self_attn');

/**
 * The upper layers that get a prompt, lowest first, and the target that chose them.
 * @throws TargetError where the model has no such attention, or its projections are unknown; ConfigError
 */
export function promptedLayers(
  model: Module,
  { targetModules, adapterLayers }: LlamaAdapterConfig,
  modelType: string | undefined,
): { readonly layers: readonly PromptedLayer[]; readonly target: string } {
  const target = targetModules ?? targetOf(modelType);
  const modules = new Map(model.namedModules());
  const attentions = [...modules].flatMap(([path, attention]): PromptedLayer[] => {
    const block = modules.get(path.split('.').slice(0, -1).join('.'));
    if (!(attention instanceof MultiHeadAttention && block instanceof DecoderBlock)) return [];
    const projections = projectionsOf(attention);
    if (!projections) return [];
    const hidden = (model as Module & { readonly config: { readonly hiddenSize: number } }).config.hiddenSize;
    return [{ path, block, attention, projections, hidden }];
  });
  const chosen = attentions.filter(({ path }) => path.endsWith(`.${target}`));
  if (chosen.length === 0)
    throw new TargetError(
      `LLaMA-Adapter goes into the attention of decoder blocks, and none is named ${JSON.stringify(target)}`,
      {
        asked: target,
        available: [...new Set(attentions.map(({ path }) => path.split('.').at(-1)!))],
      },
    );
  if (adapterLayers > chosen.length)
    throw new ConfigError('adapter_layers', adapterLayers, `the model has ${chosen.length} such layers`);
  return { layers: chosen.slice(-adapterLayers), target };
}
