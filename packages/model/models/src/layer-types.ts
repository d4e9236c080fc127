import type { JsonObject } from '@graftjs/checkpoint';
import { ConfigError } from './config-json.ts';

export type LayerType = 'full_attention' | 'sliding_attention';
const known: readonly LayerType[] = ['full_attention', 'sliding_attention'];

/** What `layer_types` of `config.json` says of each layer, where it does. @throws ConfigError */
export function layerTypes(json: JsonObject, layers: number): readonly LayerType[] | undefined {
  const types = json.layer_types;
  if (types == null) return undefined;
  if (
    !Array.isArray(types) ||
    types.length !== layers ||
    !types.every((type) => known.includes(type as LayerType))
  )
    throw new ConfigError('layer_types', `must name one of ${known.join(', ')} for each of ${layers} layers`);
  return types as LayerType[];
}
