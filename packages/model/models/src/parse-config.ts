import type { JsonObject } from '@graftjs/checkpoint';
import { nearest } from '@graftjs/nn';
import type { Architecture, ModelOf, PretrainedModel } from './architecture.ts';
import { ConfigError } from './config-json.ts';

type Any = Architecture<PretrainedModel>;

/** The architecture that reads a `config.json`. @throws ConfigError that names the known types and the nearest */
export function architectureOf<A extends Any>(json: JsonObject, architectures: readonly A[]): A {
  const type = json.model_type;
  const found = architectures.find(({ modelTypes }) => modelTypes.includes(type as string));
  if (found) return found;
  const known = architectures.flatMap(({ modelTypes }) => modelTypes);
  const guess = typeof type === 'string' ? nearest(type, known) : undefined;
  const problem =
    type === undefined ? 'is missing' : `${JSON.stringify(type)} is not among the architectures given`;
  const hint = guess === undefined ? '' : `. Did you mean ${guess}?`;
  throw new ConfigError('model_type', `${problem}; they read ${known.join(', ')}${hint}`);
}

/**
 * What a `config.json` says, its weights unseen.
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseConfig<A extends Any>(
  json: JsonObject,
  { architectures, generation }: { readonly architectures: readonly A[]; readonly generation?: JsonObject },
): ModelOf<A>['config'] {
  const architecture = architectureOf(json, architectures);
  if (json.quantization_config != null)
    throw new ConfigError(
      'quantization_config',
      'quantized weights are not supported; use the folder of the model before it was quantized',
    );
  return architecture.parseConfig(json, generation) as ModelOf<A>['config'];
}
