/**
 * (IA)³, infused adapter by inhibiting and amplifying inner activations (Liu et al., 2022, arXiv:2205.05638):
 *
 *     attention:     y = (x Wᵀ + b) ∘ l,    l [out, 1]
 *     feed-forward:  y = (x ∘ l) Wᵀ + b,    l [1, in]
 *
 * l starts at one. Merged: W ∘ l (and b ∘ l), by rows or by columns.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  ConfigError,
  defineLayerTuner,
  field,
  fullMatch,
  type LayerAdapter,
  type LayerConfig,
  targetFields,
} from '@graftjs/peft';
import { cast, mul, reshape, type Tensor } from '@graftjs/tensor';
import { defaultFeedforward, defaultTargets } from './default-targets.ts';

/** Every key of PEFT's `IA3Config` with its default. */
export const ia3Schema = {
  ...targetFields,
  /** Of the targets: those whose input is scaled instead of their output. Names or a regular expression. */
  feedforwardModules: field.names('feedforward_modules'),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** False starts the scales from a normal distribution, which is for tests. */
  initIa3Weights: field.boolean('init_ia3_weights', true),
} as const;

export type Ia3Config = LayerConfig<typeof ia3Schema, 'IA3'>;

const method = defineLayerTuner({
  peftType: 'IA3',
  schema: ia3Schema,
  kind: '(IA)³ scales linear layers',
  defaultTargets,
  check: ({ feedforwardModules, targetModules }) => {
    if (!Array.isArray(feedforwardModules) || !Array.isArray(targetModules)) return;
    const strange = feedforwardModules.filter((name) => !targetModules.includes(name));
    if (strange.length > 0)
      throw new ConfigError('feedforward_modules', strange, 'must be among target_modules');
  },
  adapt: (config, layers, { random, modelType }) => {
    const feedforwardModules =
      config.feedforwardModules ??
      amongTargets(defaultFeedforward[modelType ?? ''] ?? [], config.targetModules);
    const isFeedforward = feedforwardMatcher(feedforwardModules);
    const make = (path: string, layer: Linear): LayerAdapter => {
      const size = isFeedforward(path) ? layer.inFeatures : layer.outFeatures;
      const start = config.initIa3Weights ? new Float32Array(size).fill(1) : normalArray(size, 1, random);
      return isFeedforward(path) ? scaledInput(path, start) : scaledOutput(path, start);
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      config: { ...config, feedforwardModules },
    };
  },
});

/** (IA)³ for linear layers: give it to a `PeftModel` among its tuners. */
export const ia3 = method.tuner;
/** A config of (IA)³: PEFT's defaults and what the options say. @throws ConfigError */
export const ia3Config = method.config;

/** The targets of a list that names mean: PEFT loads no config that names others. */
const amongTargets = (names: readonly string[], targets: Ia3Config['targetModules']): readonly string[] =>
  Array.isArray(targets)
    ? targets.filter((target: string) => names.some((name) => target.endsWith(name)))
    : names;

/** PEFT compares the ends of paths without regard to dots. */
const feedforwardMatcher = (names: string | readonly string[]): ((path: string) => boolean) => {
  if (typeof names !== 'string') return (path) => names.some((name) => path.endsWith(name));
  const pattern = fullMatch(names);
  return (path) => pattern.test(path);
};

const parameter = (path: string, shape: readonly number[], data: Float32Array<ArrayBuffer>): Parameter =>
  new Parameter(shape, data, { name: `${path}.ia3_l`, trainable: false });

const scaled = (x: Tensor, scale: Tensor): Tensor => mul(x, cast(scale, x.dtype));

function scaledOutput(path: string, start: Float32Array<ArrayBuffer>): LayerAdapter {
  const l = parameter(path, [start.length, 1], start);
  const row = reshape(l, [start.length]);
  return {
    parameters: { ia3_l: l },
    output: (y) => scaled(y, row),
    merged: ({ weight, bias }) => ({ weight: mul(weight, l), ...(bias ? { bias: mul(bias, row) } : {}) }),
  };
}

function scaledInput(path: string, start: Float32Array<ArrayBuffer>): LayerAdapter {
  const l = parameter(path, [1, start.length], start);
  const row = reshape(l, [start.length]);
  return {
    parameters: { ia3_l: l },
    input: (x) => scaled(x, row),
    merged: ({ weight, bias }) => ({ weight: mul(weight, l), ...(bias ? { bias } : {}) }),
  };
}
