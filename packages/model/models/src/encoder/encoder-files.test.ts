import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  encodeSafetensors,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  type TensorData,
  TensorMissingError,
} from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Context, DropoutSeedError } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Architecture,
  bert,
  distilbert,
  type EncoderModel,
  loadModel,
  newModel,
  PositionsError,
  parseConfig,
  readSentencePooling,
  roberta,
  sentenceEmbedding,
  UnexpectedTensorError,
} from '../index.ts';

const fixtures = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/encoders/', import.meta.url));
const bytesOf = (base: string, name: string): Uint8Array =>
  new Uint8Array(readFileSync(`${fixtures}${base}/${name}`));

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

type Tensors = [string, TensorData][];

/** A fixture's folder in memory, its tensors under other names. */
async function folderOf(base: string, change: (tensors: Tensors) => Tensors = (tensors) => tensors) {
  const weights = await openSafetensors(bytesOf(base, 'model.safetensors'));
  const tensors: Tensors = [];
  for (const [name, { dtype, shape }] of weights.tensors)
    tensors.push([name, { dtype, shape, data: await weights.read(name) }]);
  const files: MemoryFiles = new Map([
    ['config.json', bytesOf(base, 'config.json')],
    ['model.safetensors', encodeSafetensors(new Map(change(tensors)), { format: 'pt' })],
  ]);
  return memoryFolder(files);
}

const renamedBy =
  (change: (name: string) => string) =>
  (tensors: Tensors): Tensors =>
    tensors.map(([name, data]) => [change(name), data]);

const inputIds = new Variable([1, 6], Int32Array.of(3, 14, 15, 9, 26, 5));
const outputOf = async (model: EncoderModel, context = new Context()): Promise<number[]> => [
  ...(await runtime.evaluate([model.forward({ inputIds }, context)]))[0]!,
];

describe('files', () => {
  test('of a model with a head give the bare model, and those of the bare model one with a new head', async () => {
    const whole = await folderOf('bert-masked-lm');
    const bare = await loadModel(whole, { architectures: [bert.encoder], newWeights: { seed: 1 } });
    expect(bare.newWeights).toEqual(['pooler.dense.weight', 'pooler.dense.bias']);
    const states = await outputOf(bare.model);
    const { model } = await loadModel(whole, { architectures: [bert.maskedLM] });
    const [wanted] = await runtime.evaluate([model.hiddenStates({ inputIds }, new Context())]);
    expect(states).toEqual([...wanted!]);

    const encoder = await folderOf('bert-encoder');
    const architectures = [bert.sequenceClassifier];
    const config = { id2label: { 0: 'bad', 1: 'so-so', 2: 'good', 3: 'superb' } };
    const load = (seed: number) => loadModel(encoder, { architectures, config, newWeights: { seed } });
    const first = await load(1);
    expect(first.newWeights).toEqual(['classifier.weight', 'classifier.bias']);
    expect(first.config.labels).toEqual(['bad', 'so-so', 'good', 'superb']);
    const logits = await outputOf(first.model);
    expect(logits.length).toBe(4);
    expect(await outputOf((await load(1)).model)).toEqual(logits);
    expect(await outputOf((await load(2)).model)).not.toEqual(logits);
    await expect(loadModel(encoder, { architectures, config })).rejects.toThrow(TensorMissingError);
  });

  test('of other times have other names and tables that nothing reads', async () => {
    const plain = await outputOf(
      (await loadModel(await folderOf('bert-sequence'), { architectures: [bert.sequenceClassifier] })).model,
    );
    const older = await folderOf('bert-sequence', (tensors) => [
      ...renamedBy((name) =>
        name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'),
      )(tensors),
      ['bert.embeddings.position_ids', { dtype: 'I64', shape: [1, 1], data: new Uint8Array(8) }],
      ['cls.seq_relationship.weight', { dtype: 'F32', shape: [1], data: new Float32Array(1) }],
    ]);
    const { model } = await loadModel(older, { architectures: [bert.sequenceClassifier] });
    expect(await outputOf(model)).toEqual(plain);
  });

  test('that are not of the model are refused by name', async () => {
    const load = async (change: (tensors: Tensors) => Tensors) =>
      loadModel(await folderOf('distilbert-tokens', change), {
        architectures: [distilbert.tokenClassifier],
        newWeights: { seed: 1 },
      });
    await expect(load(renamedBy((name) => name.replace('layer.1.ffn', 'layer.1.fnf')))).rejects.toThrow(
      'distilbert.transformer.layer.1.ffn',
    );
    await expect(
      load(renamedBy((name) => name.replace('layer.1.ffn.lin1.bias', 'layer.1.ffn.lin3.bias'))),
    ).rejects.toThrow(TensorMissingError);
    const extra = ['distilbert.extra', { dtype: 'F32', shape: [1], data: new Float32Array(1) }] as Tensors[0];
    await expect(load((tensors) => [...tensors, extra])).rejects.toThrow(UnexpectedTensorError);
  });
});

describe('config.json', () => {
  const of = (model_type: string, change: object, architecture: Architecture<EncoderModel>) =>
    parseConfig({ model_type, ...change }, { architectures: [architecture] });

  // configuration_bert.py, configuration_roberta.py and configuration_distilbert.py of transformers 5.23.0.
  test('has the defaults of transformers where it is silent', () => {
    const common = {
      hiddenSize: 768,
      heads: 12,
      headDim: 64,
      intermediateSize: 3072,
      activation: 'gelu',
      normEps: 1e-12,
      hiddenDropout: 0.1,
      attentionDropout: 0.1,
      positionRows: 512,
      tieWordEmbeddings: true,
      initializerRange: 0.02,
      labels: ['LABEL_0', 'LABEL_1'],
      problemType: undefined,
    };
    expect(of('bert', {}, bert.encoder)).toMatchObject({
      ...common,
      vocabSize: 30522,
      layers: 12,
      classifierDropout: 0.1,
      maxPositions: 512,
      tokenTypes: 2,
      padTokenId: 0,
    });
    expect(of('roberta', {}, roberta.encoder)).toMatchObject({
      ...common,
      vocabSize: 50265,
      positionsAfter: 1,
      maxPositions: 510,
      padTokenId: 1,
      bosTokenId: 0,
      eosTokenIds: [2],
    });
    expect(of('distilbert', {}, distilbert.encoder)).toMatchObject({
      ...common,
      vocabSize: 30522,
      layers: 6,
      classifierDropout: 0.2,
      answerDropout: 0.1,
      tokenTypes: 0,
    });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['a decoder', { is_decoder: true }, 'is_decoder'],
    ['relative positions', { position_embedding_type: 'relative_key' }, 'position_embedding_type'],
    ['heads that do not divide', { num_attention_heads: 5 }, 'hidden_size'],
    ['an unknown problem', { problem_type: 'ranking' }, 'problem_type'],
    ['classes with a gap', { id2label: { 0: 'a', 2: 'b' } }, 'id2label'],
    ['no classes', { id2label: {} }, 'id2label'],
  ])('with %s is refused by key', (_, change, key) => {
    expect(() => of('bert', change, bert.sequenceClassifier)).toThrow(
      expect.objectContaining({ name: 'ConfigError', key }) as Error,
    );
  });

  test('of a span has a start and an end', () => {
    const three = { id2label: { 0: 'a', 1: 'b', 2: 'c' } };
    expect(() => of('bert', three, bert.questionAnswerer)).toThrow('a span has a start and an end');
  });
});

const json = {
  vocab_size: 32,
  hidden_size: 16,
  dim: 16,
  n_layers: 2,
  n_heads: 2,
  hidden_dim: 24,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 10,
  initializer_range: 0.5,
};

test.each([
  ['bert', bert, 10],
  ['roberta', roberta, 8],
  ['distilbert', distilbert, 10],
] as const)('%s: a text that is longer than its positions is refused', (model_type, family, most) => {
  const { model } = newModel({ ...json, model_type }, { architectures: [family.encoder], seed: 1 });
  const forward = (tokens: number) =>
    model.forward({ inputIds: new Variable([1, tokens], new Int32Array(tokens).fill(3)) }, new Context());
  expect(forward(most).shape).toEqual([1, most, 16]);
  expect(() => forward(most + 1)).toThrow(PositionsError);
});

describe('dropout', () => {
  const seed = new Variable([2], Uint32Array.of(5, 6));
  const none = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, classifier_dropout: 0 };
  const logits = (change: object, context: Context): Promise<number[]> => {
    const config = { ...json, model_type: 'bert', ...none, ...change };
    return outputOf(newModel(config, { architectures: [bert.sequenceClassifier], seed: 1 }).model, context);
  };

  test.each(Object.keys(none))('%s acts in training, and there alone', async (key) => {
    const plain = await logits({}, new Context({ training: true }));
    expect(await logits({ [key]: 0.5 }, new Context({ seed }))).toEqual(plain);
    const trained = await logits({ [key]: 0.5 }, new Context({ training: true, seed }));
    expect(trained.some((x, i) => Math.abs(x - plain[i]!) > 0.01)).toBe(true);
    await expect(logits({ [key]: 0.5 }, new Context({ training: true }))).rejects.toThrow(DropoutSeedError);
  });
});

describe('sentence embeddings', () => {
  const states = new Variable([2, 3, 2], Float32Array.of(3, 4, 1, 0, 7, -5, 6, 8, 0, 2, 100, 100));
  const keyMask = new Variable([2, 3], Int32Array.of(1, 1, 1, 1, 1, 0));
  const embed = async (...how: Parameters<typeof sentenceEmbedding>): Promise<number[]> =>
    [...(await runtime.evaluate([sentenceEmbedding(...how)]))[0]!].map((x) => Math.round(x * 1e5) / 1e5);

  test('are pooled over tokens, padding left out', async () => {
    const of = (pooling: 'mean' | 'max' | 'cls') => embed(states, keyMask, { pooling, normalize: false });
    expect(await of('mean')).toEqual([3.66667, -0.33333, 3, 5]);
    expect(await of('max')).toEqual([7, 4, 6, 8]);
    expect(await of('cls')).toEqual([3, 4, 6, 8]);
    expect(await embed(states, keyMask, { pooling: 'cls', normalize: true })).toEqual([0.6, 0.8, 0.6, 0.8]);
    expect(await embed(states)).toEqual([0.99589, -0.09054, 0.69389, 0.72008]);
  });

  test('are as modules.json says', async () => {
    const folder = (modules: unknown, pooling: unknown) =>
      memoryFolder(
        new Map(
          Object.entries({ 'modules.json': modules, '1_Pooling/config.json': pooling }).map(
            ([name, value]) => [name, new TextEncoder().encode(JSON.stringify(value))],
          ),
        ),
      );
    const entry = (kind: string, path = '') => ({ type: `sentence_transformers.models.${kind}`, path });
    const [transformer, pooling] = [entry('Transformer'), entry('Pooling', '1_Pooling')];
    const mean = {
      word_embedding_dimension: 4,
      pooling_mode_cls_token: false,
      pooling_mode_mean_tokens: true,
    };
    expect(await readSentencePooling(folder([transformer, pooling], mean))).toEqual({
      pooling: 'mean',
      normalize: false,
    });
    expect(
      await readSentencePooling(
        folder([transformer, pooling, entry('Normalize')], { pooling_mode_cls_token: true }),
      ),
    ).toEqual({ pooling: 'cls', normalize: true });
    await expect(readSentencePooling(folder([transformer, pooling, entry('Dense')], mean))).rejects.toThrow(
      'Dense',
    );
    await expect(
      readSentencePooling(folder([transformer, pooling], { pooling_mode_weightedmean_tokens: true })),
    ).rejects.toThrow('weightedmean_tokens');
    await expect(readSentencePooling(folder([transformer], mean))).rejects.toThrow('0 poolings');
  });
});
