/**
 * RoAd, 2D rotary adaptation (Liao and Monz, 2024, arXiv:2409.00119): pairs of a layer's outputs are rotated and scaled.
 *
 *     y = c₁ ∘ z + c₂ ∘ rotated(z),   z = x Wᵀ + b,   c₁ = α cos θ,   c₂ = α sin θ
 *
 * Outputs are in groups of `groupSize`; in each, rotated(z) is the second half with the other sign and then the first.
 * θ starts at zero and α at one. The variants differ in what they share: `road_1` has one θ and α for each pair, `road_2`
 * for each output, `road_4` for each of c₁ and c₂ of each output.
 */
import { normalArray, Parameter } from '@graftjs/nn';
import {
  attentionTargets,
  ConfigError,
  type ConfigField,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
} from '@graftjs/peft';
import {
  add,
  broadcastTo,
  cast,
  concat,
  cos,
  mul,
  narrow,
  neg,
  reshape,
  sin,
  type Tensor,
  transpose,
} from '@graftjs/tensor';

/** Every key of PEFT's `RoadConfig` with its default. */
export const roadSchema = {
  ...chosenFields,
  variant: field.oneOf('variant', 'road_1', ['road_1', 'road_2', 'road_4']),
  /** Even; it divides the number of outputs. */
  groupSize: {
    ...field.count('group_size', 64),
    expects: 'an even whole number from 2 on',
    accepts: (value) => Number.isSafeInteger(value) && (value as number) > 0 && (value as number) % 2 === 0,
  } as ConfigField<number>,
  /** False: θ and α are random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type RoadConfig = LayerConfig<typeof roadSchema, 'ROAD'>;

/** θ and α a pair of outputs. */
const perPair = { road_1: 1, road_2: 2, road_4: 4 } as const;

const method = defineLayerTuner({
  peftType: 'ROAD',
  schema: roadSchema,
  kind: 'RoAd rotates outputs of linear layers',
  defaultTargets: attentionTargets,
  adapt: ({ variant, groupSize, initWeights }, layers, { random }) => {
    const make = (path: string, outputs: number): LayerAdapter => {
      if (outputs % groupSize !== 0)
        throw new ConfigError('group_size', groupSize, `does not divide the ${outputs} outputs of ${path}`);
      const size = (outputs / 2) * perPair[variant];
      const parameter = (name: string, start: number): Parameter => {
        const noise = normalArray(size, initWeights ? 0 : 0.5, random);
        const data = noise.map((value) => start + value);
        return new Parameter([size], data, { name: `${path}.${name}`, trainable: false });
      };
      return rotatedOutput(parameter('road_theta', 0), parameter('road_alpha', 1), { variant, groupSize });
    };
    return { layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer.outFeatures)])) };
  },
});

/** RoAd for linear layers: give it to a `PeftModel` among its tuners. */
export const road = method.tuner;
/** A config of RoAd: PEFT's defaults and what the options say. @throws ConfigError */
export const roadConfig = method.config;

function rotatedOutput(
  theta: Parameter,
  alpha: Parameter,
  { variant, groupSize }: Pick<RoadConfig, 'variant' | 'groupSize'>,
): LayerAdapter {
  const half = groupSize / 2;
  const groups = theta.size / half / perPair[variant];
  /** θ or α for c₁ (0) and c₂ (1), `[groups, 2, half]`. */
  const spread = (parameter: Parameter, column: 0 | 1): Tensor => {
    const shape = [groups, 2, half];
    if (variant === 'road_1') return broadcastTo(reshape(parameter, [groups, 1, half]), shape);
    if (variant === 'road_2') return reshape(parameter, shape);
    return reshape(narrow(reshape(parameter, [groups, 2, groupSize]), 1, column, 1), shape);
  };
  const rotate = (z: Tensor): Tensor => {
    const parts = reshape(cast(z, 'f32'), [-1, groups, 2, half]);
    const rotated = concat([neg(narrow(parts, 2, 1, 1)), narrow(parts, 2, 0, 1)], 2);
    const c1 = mul(spread(alpha, 0), cos(spread(theta, 0)));
    const c2 = mul(spread(alpha, 1), sin(spread(theta, 1)));
    return cast(reshape(add(mul(parts, c1), mul(rotated, c2)), z.shape), z.dtype);
  };
  return {
    parameters: { road_theta: theta, road_alpha: alpha },
    output: rotate,
    merged: ({ weight, bias }) => ({
      weight: transpose(rotate(transpose(weight))),
      ...(bias ? { bias: rotate(bias) } : {}),
    }),
  };
}
