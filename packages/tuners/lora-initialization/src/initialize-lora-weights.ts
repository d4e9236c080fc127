import { matrixOf } from '@graftjs/decompositions';
import { LoraAdapter, type LoraConfig, LoraLayer, type LoraStart, startsFromData } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import { HostRandom } from '@graftjs/nn';
import { ConfigError, type PeftModel } from '@graftjs/peft';
import { cast } from '@graftjs/tensor';
import type { Matrix } from 'ml-matrix';
import { cordaStart, covariances } from './corda.ts';
import { details, oneOf } from './details.ts';
import { evaComponents } from './eva.ts';
import { checkRank } from './initializations.ts';
import { type TextBatch, weightGradients } from './layer-inputs.ts';
import { loraGaStart } from './lora-ga.ts';

export interface InitializationOptions {
  /** Texts like those that training will see; a batch is one pass. */
  readonly batches: readonly TextBatch[];
  /** Name of the adapter. Default `default`. */
  readonly adapter?: string;
  /** Of what is drawn at random (`lora_ga`). Default 0. */
  readonly seed?: number;
}

/**
 * Gives a LoRA adapter that was just added with `initLoraWeights` of `corda`, `lora_ga` or `eva` its initial weights:
 * what the base makes of the batches decides. To be called before an optimizer is made. `eva` gives each layer as much
 * of the ranks as its inputs need: the adapter is made anew, without the layers that get none, under the same name.
 *
 * @throws ConfigError where the adapter starts otherwise, has no data, or its ranks do not fit its layers
 */
export async function initializeLoraWeights(
  peft: PeftModel<CausalLM>,
  { batches, adapter = 'default', seed = 0 }: InitializationOptions,
): Promise<void> {
  const attached = peft.attached(adapter);
  const config = attached.config as LoraConfig;
  const { initLoraWeights } = config;
  if (!(attached instanceof LoraAdapter) || !startsFromData(initLoraWeights))
    throw new ConfigError(
      'init_lora_weights',
      initLoraWeights,
      "starts without data: 'corda', 'lora_ga' and 'eva' need it",
    );
  if (batches.length === 0)
    throw new ConfigError('init_lora_weights', initLoraWeights, 'needs at least one batch');
  const layers = attached.layers.filter((layer): layer is LoraLayer => layer instanceof LoraLayer);
  for (const layer of layers) checkRank(layer, initLoraWeights);
  if (initLoraWeights === 'eva') return startWithEva(peft, adapter, config, layers, batches);
  const random = new HostRandom(seed);
  const start =
    initLoraWeights === 'corda'
      ? await cordaStarts(peft, config, layers, batches)
      : await loraGaStarts(peft, config, layers, batches, random);
  for (const layer of layers) {
    const [weight] = await peft.runtime.evaluate([cast(layer.base.matrix, 'f32')]);
    layer.startFrom(start(layer, matrixOf(layer.base.outFeatures, layer.base.inFeatures, weight!)));
  }
}

type Start = (layer: LoraLayer, weight: Matrix) => LoraStart;

async function cordaStarts(
  peft: PeftModel<CausalLM>,
  config: LoraConfig,
  layers: readonly LoraLayer[],
  batches: readonly TextBatch[],
): Promise<Start> {
  const given = details('corda_config', config.cordaConfig, {
    corda_method: 'ipm',
    cache_file: null,
    covariance_file: null,
    verbose: false,
    use_float16_for_covariance: false,
    prune_temporary_fields: true,
  });
  const method = oneOf('corda_config.corda_method', given.corda_method, ['ipm', 'kpm']);
  const found = await covariances(peft.runtime, peft, layers, batches);
  return (layer, weight) => cordaStart(layer, weight, found.get(layer)!, { method });
}

async function loraGaStarts(
  peft: PeftModel<CausalLM>,
  config: LoraConfig,
  layers: readonly LoraLayer[],
  batches: readonly TextBatch[],
  random: HostRandom,
): Promise<Start> {
  const given = details('lora_ga_config', config.loraGaConfig, {
    direction: 'ArB2r',
    scale: 'stable',
    stable_gamma: 16,
  });
  const options = {
    direction: oneOf('lora_ga_config.direction', given.direction, ['ArBr', 'A2rBr', 'ArB2r', 'random']),
    scale: oneOf('lora_ga_config.scale', given.scale, ['stable', 'weight_svd', 'gd_scale', 'unit']),
    stableGamma: given.stable_gamma,
  };
  for (const layer of layers) {
    const rank = layer.a.shape[0]!;
    const most = Math.floor(Math.min(layer.base.inFeatures, layer.base.outFeatures) / 2);
    if (rank > most)
      throw new ConfigError('r', rank, `'lora_ga' gives ${layer.path} at most the rank ${most}`);
  }
  const sums = new Map<LoraLayer, Matrix>();
  for (const batch of batches) {
    const gradients = await weightGradients(peft.runtime, peft, layers, batch);
    for (const [i, layer] of layers.entries()) {
      const [rows, columns] = layer.base.weight.shape as [number, number];
      const share = matrixOf(rows, columns, gradients[i]!).div(batches.length);
      sums.set(layer, sums.get(layer)?.add(share) ?? share);
    }
  }
  return (layer, weight) => {
    const gradient = sums.get(layer)!;
    const outIn = layer.base.fanInFanOut ? gradient.transpose() : gradient;
    return loraGaStart(layer, weight, outIn, options, random);
  };
}

async function startWithEva(
  peft: PeftModel<CausalLM>,
  name: string,
  config: LoraConfig,
  layers: readonly LoraLayer[],
  batches: readonly TextBatch[],
): Promise<void> {
  const given = details('eva_config', config.evaConfig, {
    rho: 2,
    tau: 0.99,
    use_label_mask: true,
    label_mask_value: -100,
    whiten: false,
    adjust_scaling_factors: true,
  });
  const components = await evaComponents(peft.runtime, peft, layers, batches, {
    rho: given.rho,
    tau: given.tau,
    useLabelMask: given.use_label_mask,
    labelMaskValue: given.label_mask_value,
    whiten: given.whiten,
  });
  const ranks = new Map(layers.map((layer) => [layer.path, components.get(layer)!.length]));
  const kept = layers.filter(({ path }) => ranks.get(path)! > 0);
  const root = (rank: number): number => (config.useRslora ? Math.sqrt(rank) : rank);
  const alphaOf = (layer: LoraLayer): number => {
    const rank = layer.a.shape[0]!;
    const alpha = layer.scaling * root(rank);
    return given.adjust_scaling_factors ? (alpha * ranks.get(layer.path)!) / rank : alpha;
  };
  const active = peft.activeAdapters;
  peft.deleteAdapter(name);
  await peft.addAdapter(name, {
    ...config,
    evaConfig: given,
    targetModules: kept.map(({ path }) => path),
    layersToTransform: null,
    layersPattern: null,
    excludeModules: null,
    rankPattern: Object.fromEntries(
      kept.flatMap(({ path }) => (ranks.get(path) === config.r ? [] : [[path, ranks.get(path)!]])),
    ),
    alphaPattern: Object.fromEntries(
      kept.flatMap((layer) => (alphaOf(layer) === config.loraAlpha ? [] : [[layer.path, alphaOf(layer)]])),
    ),
  } as LoraConfig);
  peft.setAdapter(active);
  const rows = new Map(layers.map((layer) => [layer.path, components.get(layer)!]));
  for (const { path, a } of (peft.attached(name) as LoraAdapter).layers)
    a.set(Float32Array.from(rows.get(path)!.flat()));
}
