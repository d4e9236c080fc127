/**
 * MiSS, matrix shard sharing (Kang and Yin, 2024, arXiv:2409.15371, first called Bone): W is cut into shards of r
 * inputs, and one block D is added to all of them.
 *
 *     y = x Wᵀ + b + (x₁ + x₂ + …) D,   xᵢ the i-th r elements of x, the last filled up with zeros,   D [r, out]
 *
 * `mini`: D is a block [r, mini_r], repeated along the outputs. `bat`: W is cut into blocks Wᵢⱼ of r x r, each of which
 * becomes Wᵢⱼ + Wᵢⱼ Dᵢ + Dᵢ, D [out / r, r, r]. D starts at zero.
 */
import { type Linear, Parameter, uniformArray } from '@graftjs/nn';
import {
  addedChange,
  attentionTargets,
  ConfigError,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  targetFields,
} from '@graftjs/peft';
import {
  add,
  broadcastTo,
  cast,
  linear,
  matmul,
  narrow,
  pad,
  reshape,
  sum,
  type Tensor,
  transpose,
} from '@graftjs/tensor';

/** Every key of PEFT's `MissConfig` with its default. */
export const missSchema = {
  ...targetFields,
  ...layerFields,
  /** Inputs of a shard; no more than the layer has. */
  r: field.count('r', 64),
  /** Chance that an element of the change's input is zero in training; not with `bat`. */
  missDropout: field.chance('miss_dropout', 0),
  /** With `mini`: outputs of the block. It divides those of the layer. */
  miniR: field.count('mini_r', 1),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'MiSS_only']),
  /** The form of the change. False: D is random, and the adapter changes the model from the start. */
  initWeights: field.oneOf('init_weights', true, [true, false, 'bat', 'mini']),
} as const;

export type MissConfig = LayerConfig<typeof missSchema, 'MISS'>;

const method = defineLayerTuner({
  peftType: 'MISS',
  schema: missSchema,
  kind: 'MiSS changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const make = (path: string, layer: Linear): LayerAdapter => {
      const shape = blockShape(path, layer, config);
      const size = shape.reduce((n, extent) => n * extent, 1);
      // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
      const start =
        config.initWeights === false
          ? uniformArray(size, 1 / Math.sqrt(layer.outFeatures), random)
          : undefined;
      const block = new Parameter(shape, start, { name: `${path}.miss_block`, trainable: false });
      if (config.initWeights === 'bat') return changedBlocks(block);
      const where = `${path}: miss_dropout`;
      return sharedBlock(layer, block, { dropout: config.missDropout, where });
    };
    return { layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])) };
  },
});

/** MiSS for linear layers: give it to a `PeftModel` among its tuners. */
export const miss = method.tuner;
/** A config of MiSS: PEFT's defaults and what the options say. @throws ConfigError */
export const missConfig = method.config;

/** @throws ConfigError where the layer cannot be cut so */
function blockShape(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { r, miniR, initWeights }: MissConfig,
): readonly number[] {
  const layer = `${path}, which has ${inFeatures} inputs and ${outFeatures} outputs`;
  if (r > inFeatures) throw new ConfigError('r', r, `is more than the inputs of ${layer}`);
  if (initWeights === 'mini') {
    if (outFeatures % miniR !== 0)
      throw new ConfigError('mini_r', miniR, `does not divide the outputs of ${layer}`);
    return [r, miniR];
  }
  if (initWeights !== 'bat') return [r, outFeatures];
  if (inFeatures % r !== 0 || outFeatures % r !== 0)
    throw new ConfigError('r', r, `does not divide ${layer}, as init_weights = "bat" needs`);
  return [outFeatures / r, r, r];
}

function sharedBlock(
  layer: Linear,
  block: Parameter,
  dropout: { readonly dropout: number; readonly where: string },
): LayerAdapter {
  const { inFeatures, outFeatures } = layer;
  const [r, columns] = block.shape as [number, number];
  const shards = Math.ceil(inFeatures / r);
  /** The block for all outputs: D, `[r, out]`. */
  const whole = (): Tensor => {
    const repeated = broadcastTo(reshape(block, [r, 1, columns]), [r, outFeatures / columns, columns]);
    return reshape(repeated, [r, outFeatures]);
  };
  const change = (x: Tensor): Tensor => {
    const none = x.shape.map(() => 0);
    const filled = pad(x, none, none.with(-1, shards * r - inFeatures));
    const total = sum(reshape(filled, [...x.shape.slice(0, -1), shards, r]), [-2]); // [..., r]
    return linear(total, transpose(whole()));
  };
  const delta = (): Tensor => {
    const tiled = broadcastTo(reshape(transpose(whole()), [outFeatures, 1, r]), [outFeatures, shards, r]);
    return narrow(reshape(tiled, [outFeatures, shards * r]), 1, 0, inFeatures);
  };
  return { parameters: { miss_block: block }, ...addedChange(layer, { change, delta, ...dropout }) };
}

function changedBlocks(block: Parameter): LayerAdapter {
  const [count, r] = block.shape as [number, number];
  /** ΔW `[out, in]`: as large as W, whose blocks are all multiplied. */
  const delta = (weight: Tensor): Tensor => {
    const [outputs, inputs] = weight.shape as [number, number];
    const rows = reshape(weight, [count, inputs, r]); // a row of a block each
    const turned = reshape(matmul(rows, block), [count, r, inputs / r, r]);
    return reshape(add(turned, reshape(block, [count, r, 1, r])), [outputs, inputs]);
  };
  return {
    parameters: { miss_block: block },
    output: (y, { input, layer }) => {
      const change = linear(cast(input, 'f32'), delta(cast(layer.matrix, 'f32')));
      return add(y, cast(change, y.dtype));
    },
    merged: ({ weight, ...rest }) => ({ ...rest, weight: add(weight, delta(weight)) }),
  };
}
