import type { JsonObject } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { LlamaConfig } from '@graftjs/models';
import { BASE_PREFIX } from '@graftjs/peft';
import type { Variable } from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';
import { gpt2Like, smallLlama } from './models.ts';
import { learningRate, loraAlpha, type StepSize, type TrainingStep, trainingStep } from './training-step.ts';

/** A small model and the batch it is trained on. */
export interface Size extends StepSize {
  readonly name: string;
  /** Names of the libraries that have this step, too. */
  readonly peers: readonly string[];
  /** How far their losses may be from Graft's, as a fraction. */
  readonly tolerance: number;
}

export const sizes: readonly Size[] = [
  {
    name: 'tiny-llama, 8 x 128 tokens',
    json: smallLlama(192, 3, 6, 3),
    batch: 8,
    tokens: 128,
    // the peers' models have as many heads of keys as of queries
    peers: [],
    tolerance: 1e-4,
  },
  {
    name: 'width 256, 2 layers, 4 heads, 4 x 128 tokens',
    json: smallLlama(256, 2, 4),
    batch: 4,
    tokens: 128,
    peers: ['tfjs', 'jax-js'],
    tolerance: 1e-4,
  },
  {
    name: 'GPT-2 of width 256, 2 layers, 4 heads, 4 x 128 tokens',
    json: gpt2Like(2, { n_embd: 256, n_head: 4, vocab_size: 2048, n_positions: 1024 }),
    batch: 4,
    tokens: 128,
    // where torchlette's model has adapters
    targetModules: ['c_attn', 'c_fc'],
    peers: ['torchlette'],
    // its first loss is 5e-6 off, and each step of Adam widens that: 2e-4 after five steps of a model of width 64
    tolerance: 5e-4,
  },
];

const rank = 8;

/** Weights as they travel to other libraries. */
interface Weight {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What another library needs for a LoRA step. */
interface CommonTask {
  /** alpha / r. */
  readonly scale: number;
  /** Of Adam with betas 0.9 and 0.999, eps 1e-8. */
  readonly learningRate: number;
  /** Steps whose losses are to be compared. */
  readonly steps: number;
  readonly batch: number;
  readonly tokens: number;
  /** `[batch * tokens]`; handed to the device anew in each step. */
  readonly ids: Int32Array;
}

/** The step of a Llama model without grouped queries. */
export interface LoraTask extends CommonTask {
  readonly config: {
    readonly hidden: number;
    readonly layers: number;
    readonly heads: number;
    readonly vocab: number;
    readonly eps: number;
  };
  /** By name, without what all names share: `embed_tokens` (tied to the head), `0.self_attn.q_proj`, `norm`. */
  readonly frozen: Record<string, Weight>;
  /** `0.self_attn.q_proj.lora_A` `[r, in]` and `.lora_B` `[out, r]`. */
  readonly adapter: Record<string, Weight>;
  /** `cos` and `sin` `[tokens, headDim]`; x is rotated to x cos + [-x2, x1] sin, x1 and x2 being its halves. */
  readonly rotary: Record<'cos' | 'sin', Weight>;
  /** The token that each position is to foretell, -1 for none. The loss is the mean over the others. */
  readonly labels: Int32Array;
}

/** The step of a GPT-2 with a tied head; position i of a text foretells id i + 1, the last none. */
export interface Gpt2Task extends CommonTask {
  /** `config.json` */
  readonly json: JsonObject;
  /** By names of `transformers` without `transformer.`: `wte.weight`, `h.0.attn.c_attn.weight` `[in, out]`. */
  readonly frozen: Record<string, Weight>;
  /** `h.0.attn.c_attn.lora_A` `[r, in]` and `.lora_B` `[out, r]`. */
  readonly adapter: Record<string, Weight>;
}

/** {@link TrainingStep} with its runtime, and the same step for other libraries. */
export interface LoraProgram extends TrainingStep {
  readonly runtime: Runtime;
  /** The step from the weights as they are now, of a Llama model or a GPT-2. */
  task(steps: number): Promise<LoraTask | Gpt2Task>;
}

/** @param outputs `false` leaves out the loss, so that a run reads nothing back */
export async function loraProgram(gpu: Gpu, size: Size, { outputs = true } = {}): Promise<LoraProgram> {
  const runtime = new Runtime(gpu);
  const step = await trainingStep(runtime, size, { outputs });
  const { ids, loaded } = step;
  const adapter = [...step.peft.trainableParameters()];
  const base = [...loaded.model.namedParameters()];

  const weights = async (
    named: readonly (readonly [string, Variable])[],
    shared: RegExp,
  ): Promise<Record<string, Weight>> => {
    const entries = named.map(async ([name, variable]) => {
      const values = (await runtime.read(variable)) as Float32Array;
      return [name.replaceAll(shared, ''), { shape: variable.shape, values }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const { batch, tokens } = size;
  return {
    ...step,
    runtime,
    async task(steps) {
      const common = { scale: loraAlpha / rank, learningRate, steps, batch, tokens, ids };
      if (loaded.config.modelType === 'gpt2')
        return {
          ...common,
          json: size.json,
          frozen: await weights(base, /^transformer\./g),
          adapter: await weights(
            adapter,
            new RegExp(`^(${BASE_PREFIX})?transformer\\.|(\\.default)?\\.weight$`, 'g'),
          ),
        };
      const { hiddenSize, layers, heads, vocabSize, normEps, ropeTheta } = loaded.config as LlamaConfig;
      const shared = new RegExp(`^(${BASE_PREFIX})?model\\.(layers\\.)?|(\\.default)?\\.weight$`, 'g');
      return {
        ...common,
        config: { hidden: hiddenSize, layers, heads, vocab: vocabSize, eps: normEps },
        frozen: await weights(base, shared),
        adapter: await weights(adapter, shared),
        rotary: rotaryTables(tokens, hiddenSize / heads, ropeTheta),
        labels: ids.map((_, i) => (i % tokens === tokens - 1 ? -1 : ids[i + 1]!)),
      };
    },
  };
}

function rotaryTables(tokens: number, headDim: number, theta: number): Record<'cos' | 'sin', Weight> {
  const table = (of: (angle: number) => number): Weight => ({
    shape: [tokens, headDim],
    values: Float32Array.from({ length: tokens * headDim }, (_, i) => {
      const pair = (i % headDim) % (headDim / 2);
      return of(Math.floor(i / headDim) * theta ** ((-2 * pair) / headDim));
    }),
  });
  return { cos: table(Math.cos), sin: table(Math.sin) };
}
