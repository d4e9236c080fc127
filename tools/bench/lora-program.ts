import { type Program, Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, newModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { BASE_PREFIX, PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';

/** A small Llama model and the batch it is trained on. */
export interface Size {
  readonly name: string;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly batch: number;
  readonly tokens: number;
}

export const sizes: readonly Size[] = [
  {
    name: 'tiny-llama, 8 x 128 tokens',
    hidden: 192,
    layers: 3,
    heads: 6,
    kvHeads: 3,
    batch: 8,
    tokens: 128,
  },
  {
    name: 'width 256, 2 layers, 4 heads, 4 x 128 tokens',
    hidden: 256,
    layers: 2,
    heads: 4,
    kvHeads: 4,
    batch: 4,
    tokens: 128,
  },
];

const vocab = 2048;
const rank = 8;
const loraAlpha = 16;
const learningRate = 1e-2;

/** Weights as they travel to other libraries. */
interface Weight {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What another library needs for the same step of a Llama model without grouped queries. */
export interface LoraTask {
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
  /** The token that each position is to foretell, -1 for none. The loss is the mean over the others. */
  readonly labels: Int32Array;
}

/** A LoRA step, rank 8 on every linear layer, as one program: forward, backward, AdamW without decay. */
export interface LoraProgram {
  readonly runtime: Runtime;
  readonly program: Program;
  /** Bytes of the base's and the adapter's weights. */
  readonly weightBytes: number;
  /** Sets the batch and runs once; resolves to the loss before the step. */
  step(): Promise<number>;
  /** The same step for others, from the weights as they are now. */
  task(steps: number): Promise<LoraTask>;
}

/** @param outputs `false` leaves out the loss, so that a run reads nothing back */
export async function loraProgram(gpu: Gpu, size: Size, { outputs = true } = {}): Promise<LoraProgram> {
  const { hidden, layers, heads, kvHeads, batch, tokens } = size;
  const runtime = new Runtime(gpu);
  const json = {
    model_type: 'llama',
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: Math.round((hidden * 8) / 3 / 16) * 16,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    tie_word_embeddings: true,
  };
  const { model, config } = newModel(json, { architectures: [llama], seed: 1 });
  const base = [...model.namedParameters()];
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  await peft.addAdapter('default', loraConfig({ r: rank, loraAlpha, targetModules: 'all-linear' }));
  const adapter = [...peft.trainableParameters()];

  const ids = Int32Array.from({ length: batch * tokens }, (_, i) => (i * 7919) % vocab);
  const inputIds = new Variable([batch, tokens], undefined, { dtype: 'i32' });
  const labels = new Variable([batch, tokens], undefined, { dtype: 'i32' });
  const lossSum = tokenLossSum(model.forward({ inputIds }, new Context({ training: true })), labels);
  const loss = mul(lossSum, 1 / (batch * (tokens - 1)));
  const optimizer = new AdamW(new Map(adapter), { weightDecay: 0 });
  const { updates } = optimizer.update(
    gradients(
      loss,
      adapter.map(([, parameter]) => parameter),
    ),
  );
  const program = await runtime.compile({ outputs: outputs ? [loss] : [], updates });

  const weights = async (
    named: readonly (readonly [string, Variable])[],
  ): Promise<Record<string, Weight>> => {
    const shared = new RegExp(`^(${BASE_PREFIX})?model\\.(layers\\.)?|(\\.default)?\\.weight$`, 'g');
    const entries = named.map(async ([name, variable]) => {
      const values = (await runtime.read(variable)) as Float32Array;
      return [name.replaceAll(shared, ''), { shape: variable.shape, values }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  return {
    runtime,
    program,
    weightBytes: [...base, ...adapter].reduce((sum, [, { byteLength }]) => sum + byteLength, 0),
    async step() {
      optimizer.beginStep(learningRate);
      inputIds.set(ids.slice());
      labels.set(ids.slice());
      const [value] = await program.run();
      return value?.[0] ?? Number.NaN;
    },
    task: async (steps) => ({
      config: { hidden, layers, heads, vocab, eps: config.normEps },
      frozen: await weights(base),
      adapter: await weights(adapter),
      rotary: rotaryTables(tokens, hidden / heads, config.ropeTheta),
      scale: loraAlpha / rank,
      learningRate,
      steps,
      batch,
      tokens,
      ids,
      labels: ids.map((_, i) => (i % tokens === tokens - 1 ? -1 : ids[i + 1]!)),
    }),
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
