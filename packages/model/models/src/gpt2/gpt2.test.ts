import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  encodeSafetensors,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  ShapeMismatchError,
  type TensorData,
} from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Context, DropoutSeedError } from '@graftjs/nn';
import { type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ConfigError,
  GPT2LMHeadModel,
  gpt2,
  loadModel,
  newModel,
  PositionsError,
  parseConfig,
  saveModel,
  UnexpectedTensorError,
} from '../index.ts';

const fixtures = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/', import.meta.url));
const fileOf = (base: string, name: string): Uint8Array =>
  new Uint8Array(readFileSync(`${fixtures}${base}/${name}`));
const architectures = [gpt2];
const of = (change: Record<string, unknown>) =>
  parseConfig({ model_type: 'gpt2', ...change }, { architectures });

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const ids = (values: readonly number[]): Variable =>
  new Variable([1, values.length], Int32Array.from(values), { dtype: 'i32' });

async function logitsOf(model: GPT2LMHeadModel): Promise<number[]> {
  const inputIds = ids([3, 1, 4, 1, 5, 9]);
  const [logits] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
  return [...(logits as Float32Array)];
}

/** A fixture's model in memory, its tensors under other names. */
async function folderOf(
  base: string,
  change: (tensors: [string, TensorData][]) => [string, TensorData][] = (tensors) => tensors,
): Promise<ReturnType<typeof memoryFolder>> {
  const weights = await openSafetensors(fileOf(base, 'model.safetensors'));
  const tensors: [string, TensorData][] = [];
  for (const [name, { dtype, shape }] of weights.tensors)
    tensors.push([name, { dtype, shape, data: await weights.read(name) }]);
  const files: MemoryFiles = new Map([
    ['config.json', fileOf(base, 'config.json')],
    ['model.safetensors', encodeSafetensors(new Map(change(tensors)), { format: 'pt' })],
  ]);
  return memoryFolder(files);
}

const extra = (name: string, shape: readonly number[]): [string, TensorData] => [
  name,
  { dtype: 'F32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
];

describe('files', () => {
  test('of the bare model, with the masks that older ones keep, give the same model', async () => {
    const plain = await logitsOf((await loadModel(await folderOf('gpt2'), { architectures })).model);
    const bare = await folderOf('gpt2', (tensors) => [
      ...tensors.map(([name, t]): [string, TensorData] => [name.replace(/^transformer\./, ''), t]),
      extra('h.0.attn.bias', [1, 1, 40, 40]),
      extra('h.1.attn.masked_bias', [1]),
    ]);
    expect(await logitsOf((await loadModel(bare, { architectures })).model)).toEqual(plain);
    const masked = await folderOf('gpt2', (tensors) => [
      ...tensors,
      extra('transformer.h.0.attn.bias', [1, 1, 40, 40]),
    ]);
    expect(await logitsOf((await loadModel(masked, { architectures })).model)).toEqual(plain);
  });

  test.each(['gpt2', 'gpt2-variant'])('%s: saved, they are those of transformers', async (base) => {
    const files: MemoryFiles = new Map();
    const loaded = await loadModel(await folderOf(base), { architectures });
    await saveModel(runtime, memoryFolder(files), loaded);
    expect(Buffer.compare(files.get('model.safetensors')!, fileOf(base, 'model.safetensors'))).toBe(0);
    expect(JSON.parse(new TextDecoder().decode(files.get('config.json')))).toEqual(
      JSON.parse(new TextDecoder().decode(fileOf(base, 'config.json'))),
    );
  });

  test('in 16 bits give the logits of the same numbers in 32', async () => {
    const files: MemoryFiles = new Map();
    const { model, json } = await loadModel(await folderOf('gpt2'), { architectures });
    await saveModel(runtime, memoryFolder(files), { model, config: model.config, json }, { dtype: 'F16' });
    const [halves, whole] = [
      await loadModel(memoryFolder(files), { architectures }),
      await loadModel(memoryFolder(files), { architectures, weights: 'f32' }),
    ];
    expect(halves.model.transformer.h[0]!.attn.c_attn.weight.dtype).toBe('f16');
    const [a, b] = [await logitsOf(halves.model), await logitsOf(whole.model)];
    expect(a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)).toBeLessThan(1e-5);
  });

  test('that are not of the config are refused by name', async () => {
    const load = async (change: Parameters<typeof folderOf>[1]) =>
      loadModel(await folderOf('gpt2', change), { architectures });
    const bare = (name: string): [string, TensorData] => extra(name, [24]);
    await expect(load((t) => [...t, bare('transformer.h.0.ln_3.weight')])).rejects.toThrow(
      UnexpectedTensorError,
    );
    await expect(load((t) => [...t, extra('lm_head.weight', [96, 24])])).rejects.toThrow(ConfigError);
    // Weights that lie the other way round.
    const turned = (t: [string, TensorData][]) =>
      t.map(([name, data]): [string, TensorData] =>
        name.endsWith('c_attn.weight') ? [name, { ...data, shape: [...data.shape].reverse() }] : [name, data],
      );
    await expect(load(turned)).rejects.toThrow(ShapeMismatchError);
  });
});

describe('config.json', () => {
  // configuration_gpt2.py of transformers 5.23.0.
  test('has the defaults of transformers where it is silent', () => {
    expect(of({})).toMatchObject({
      vocabSize: 50257,
      hiddenSize: 768,
      intermediateSize: 3072,
      layers: 12,
      heads: 12,
      headDim: 64,
      maxPositions: 1024,
      activation: 'gelu_new',
      normEps: 1e-5,
      embeddingDropout: 0.1,
      attentionDropout: 0.1,
      residualDropout: 0.1,
      tieWordEmbeddings: true,
      initializerRange: 0.02,
      bosTokenId: 50256,
      eosTokenIds: [50256],
      padTokenId: undefined,
    });
  });

  test('may use the names of other models, too', () => {
    const other = {
      hidden_size: 8,
      num_attention_heads: 2,
      num_hidden_layers: 3,
      max_position_embeddings: 5,
    };
    expect(of(other)).toMatchObject({ hiddenSize: 8, heads: 2, layers: 3, maxPositions: 5 });
    expect(of({ ...other, n_embd: 16 })).toMatchObject({ hiddenSize: 16 });
  });

  test('scales scores as it says', () => {
    const scales = (change: Record<string, unknown>) => {
      const { scaleOf } = of({ n_embd: 64, n_head: 4, ...change });
      return [scaleOf(0), scaleOf(3)];
    };
    expect(scales({})).toEqual([0.25, 0.25]);
    expect(scales({ scale_attn_weights: false })).toEqual([1, 1]);
    expect(scales({ scale_attn_by_inverse_layer_idx: true })).toEqual([0.25, 0.0625]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['cross-attention', { add_cross_attention: true }, 'add_cross_attention'],
    ['another activation', { activation_function: 'mish' }, 'activation_function'],
    ['a name of Object', { activation_function: 'toString' }, 'activation_function'],
    ['heads that do not divide', { n_head: 5 }, 'n_embd'],
    ['a chance above 1', { attn_pdrop: 1.5 }, 'attn_pdrop'],
    ['a chance that is text', { resid_pdrop: '0.1' }, 'resid_pdrop'],
    ['a fraction under the other name', { hidden_size: 0.5 }, 'hidden_size'],
    ['quantized weights', { quantization_config: {} }, 'quantization_config'],
  ])('with %s is refused by key', (_, change, key) => {
    expect(() => of(change)).toThrow(expect.objectContaining({ name: 'ConfigError', key }) as Error);
  });

  test('of a type that is near to one of those given says so', () => {
    const parse = () => parseConfig({ model_type: 'gpt-2' }, { architectures });
    expect(parse).toThrow('they read gpt2. Did you mean gpt2?');
  });
});

const json = { model_type: 'gpt2', vocab_size: 32, n_positions: 8, n_embd: 16, n_layer: 2, n_head: 2 };

test('a new model has smaller weights where sub-layers end', async () => {
  const { model } = newModel({ ...json, n_embd: 64, initializer_range: 0.1 }, { architectures, seed: 2 });
  const deviation = async (name: string): Promise<number> => {
    const values = (await runtime.read(new Map(model.namedParameters()).get(name)!)) as Float32Array;
    return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  };
  expect(await deviation('transformer.h.0.mlp.c_fc.weight')).toBeCloseTo(0.1, 2);
  expect(await deviation('transformer.h.1.mlp.c_proj.weight')).toBeCloseTo(0.05, 2);
  expect(await deviation('transformer.h.1.attn.c_proj.weight')).toBeCloseTo(0.05, 2);
  expect(await deviation('transformer.ln_f.weight')).toBe(1);
  expect(await deviation('transformer.ln_f.bias')).toBe(0);
});

test('a text that is longer than its positions is refused', () => {
  const model = new GPT2LMHeadModel(of(json));
  const forward = (tokens: number): Tensor =>
    model.forward({ inputIds: ids(new Array(tokens).fill(1)) }, new Context());
  expect(forward(8).shape).toEqual([1, 8, 32]);
  expect(() => forward(9)).toThrow(PositionsError);
  expect(() => forward(9)).toThrow(
    "a text of 9 tokens (with padding) is longer than the model's 8 positions",
  );
});

describe('dropout', () => {
  const none = { embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0 };
  const seed = new Variable([2], Uint32Array.of(5, 6));
  const logits = async (change: Record<string, unknown>, context: Context): Promise<Float32Array> => {
    const { model } = newModel({ ...json, initializer_range: 0.5, ...change }, { architectures, seed: 1 });
    const inputIds = ids([1, 2, 3, 4, 5, 6]);
    const [values] = await runtime.evaluate([model.forward({ inputIds }, context)]);
    return values as Float32Array;
  };

  test.each(['embd_pdrop', 'attn_pdrop', 'resid_pdrop'])(
    '%s acts in training, and there alone',
    async (key) => {
      const change = { ...none, [key]: 0.5 };
      const plain = await logits(none, new Context());
      expect(await logits(change, new Context({ seed }))).toEqual(plain);
      const trained = await logits(change, new Context({ training: true, seed }));
      expect(trained.some((x, i) => Math.abs(x - plain[i]!) > 0.1)).toBe(true);
      expect(await logits(change, new Context({ training: true, seed }))).toEqual(trained);
      await expect(logits(change, new Context({ training: true }))).rejects.toThrow(DropoutSeedError);
    },
  );

  test('is not drawn where every chance is 0', async () => {
    expect(await logits(none, new Context({ training: true }))).toEqual(await logits(none, new Context()));
  });
});
