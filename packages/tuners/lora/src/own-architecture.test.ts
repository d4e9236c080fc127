/** A model that no package here knows: loaded, adapted, trained, merged, and let write. */
import { memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Generator } from '@graftjs/generate';
import {
  type Architecture,
  type CausalInputs,
  type CausalLM,
  gpt2,
  llama,
  loadModel,
  type ModelConfig,
  newModel,
  type PositionDetails,
  parseConfig,
  saveModel,
  tokenLossSum,
} from '@graftjs/models';
import { Context, Embedding, Linear, Module, RmsNorm, Site } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, narrow, type Tensor, Variable } from '@graftjs/tensor';
import { type BlockParts, CausalAttention, DecoderBlock, type PassInputs } from '@graftjs/transformer';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lora, loraConfig } from './index.ts';

interface PlainConfig extends ModelConfig {
  readonly width: number;
}

/** A decoder without positions, with a fused projection and a one-layer MLP. */
class PlainAttention extends CausalAttention {
  readonly qkv: Linear;
  readonly out: Linear;

  constructor(width: number, layerIndex: number) {
    super({ heads: 2, kvHeads: 2, headDim: width / 2 }, layerIndex);
    this.qkv = new Linear(width, 3 * width);
    this.out = new Linear(width, width);
  }

  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const width = x.shape[2]!;
    const fused = this.qkv.forward(x, context);
    const [q, k, v] = [0, 1, 2].map((i) => this.split(narrow(fused, 2, i * width, width), 2));
    return this.out.forward(this.attend(q!, k!, v!, pass, context), context);
  }
}

class PlainBlock extends DecoderBlock<PassInputs> {
  readonly norm1: RmsNorm;
  readonly attention: PlainAttention;
  readonly norm2: RmsNorm;
  readonly mlp: Linear;

  constructor(width: number, layerIndex: number) {
    super();
    this.norm1 = new RmsNorm(width, 1e-6);
    this.attention = new PlainAttention(width, layerIndex);
    this.norm2 = new RmsNorm(width, 1e-6);
    this.mlp = new Linear(width, width);
  }

  get parts(): BlockParts<PassInputs> {
    const { norm1: attentionNorm, attention, norm2: mlpNorm, mlp } = this;
    return { attentionNorm, attention, mlpNorm, mlp };
  }
}

class Trunk extends Module {
  readonly tokens: Embedding;
  readonly blocks: PlainBlock[];

  constructor({ vocabSize, width, layers }: PlainConfig) {
    super();
    this.tokens = new Embedding(vocabSize, width);
    this.blocks = Array.from({ length: layers }, (_, i) => new PlainBlock(width, i));
  }
}

class PlainLM extends Module implements CausalLM {
  readonly config: PlainConfig;
  readonly trunk: Trunk;
  readonly head: Linear;
  readonly positions: Site<PositionDetails> = new Site();

  constructor(config: PlainConfig) {
    super();
    this.config = config;
    this.trunk = new Trunk(config);
    this.head = new Linear(config.width, config.vocabSize);
  }
  get inputEmbeddings(): Embedding {
    return this.trunk.tokens;
  }
  get outputEmbeddings(): Linear {
    return this.head;
  }
  get blocks(): readonly PlainBlock[] {
    return this.trunk.blocks;
  }
  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    let hidden = this.trunk.tokens.forward(inputs.inputIds, context);
    for (const block of this.trunk.blocks) hidden = block.forward(hidden, inputs, context);
    return hidden;
  }
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.head.forward(this.hiddenStates(inputs, context), context);
  }
}

const plain: Architecture<PlainLM> = {
  modelTypes: ['plain'],
  baseModelPrefix: 'trunk',
  parseConfig: (json) => ({
    modelType: 'plain',
    vocabSize: json.vocabulary as number,
    hiddenSize: json.width as number,
    width: json.width as number,
    layers: 2,
    maxPositions: 256,
    tieWordEmbeddings: false,
    initializerRange: 0.3,
    bosTokenId: undefined,
    eosTokenIds: [],
    padTokenId: undefined,
  }),
  landmarks: ({ vocabSize, width }) => [['trunk.tokens.weight', [vocabSize, width]]],
  build: (config) => new PlainLM(config),
};

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const json = { model_type: 'plain', vocabulary: 24, width: 16 };
const text = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];
const inputIds = new Variable([1, text.length], Int32Array.from(text));

test('an architecture of one’s own goes through everything', async () => {
  const folder = memoryFolder(new Map());
  await saveModel(runtime, folder, newModel(json, { architectures: [plain], seed: 4 }));
  const loaded = await loadModel(folder, { architectures: [llama, plain], runtime });
  const model = loaded.model as PlainLM;

  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  const { targets } = await peft.addAdapter('default', loraConfig({ targetModules: 'all-linear' }));
  expect(targets).toHaveLength(6);
  const trained = peft.trainableParameters();
  const optimizer = new AdamW(trained);
  const loss = tokenLossSum(model.forward({ inputIds }, new Context({ training: true })), inputIds);
  const { updates } = optimizer.update(gradients(loss, [...trained.values()]));
  const program = await runtime.compile({ outputs: [loss], updates });
  const losses: number[] = [];
  for (let step = 0; step < 60; step++) {
    optimizer.beginStep(2e-2);
    losses.push((await program.run())[0]![0]!);
  }
  expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!);

  // It has learnt the text, and says it with its cache.
  const generator = new Generator(runtime, model);
  const said = await generator.generate(text.slice(0, 4), { maxNewTokens: 8 });
  expect(said).toEqual(text.slice(4));
  generator.close();

  await peft.mergeAndUnload();
  const merged = memoryFolder(new Map());
  await saveModel(runtime, merged, loaded);
  const again = await loadModel(merged, { architectures: [plain], runtime });
  const writer = new Generator(runtime, again.model);
  expect(await writer.generate(text.slice(0, 4), { maxNewTokens: 8 })).toEqual(said);
  writer.close();
});

test('a type that none of the given architectures reads is named with those that are near', () => {
  const parse = (model_type: string, architectures: Parameters<typeof parseConfig>[1]['architectures']) =>
    parseConfig({ ...json, model_type }, { architectures });
  expect(() => parse('plane', [llama, gpt2, plain])).toThrow(
    'config.json, model_type: "plane" is not among the architectures given; they read llama, mistral, qwen2, qwen3, gpt2, plain. Did you mean plain?',
  );
  expect(() => parse('plain', [llama])).toThrow('they read llama, mistral, qwen2, qwen3');
});
