import type { Runtime } from '@graftjs/compiler';
import type { Example } from '@graftjs/data';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, newModel, tokenLossSum } from '@graftjs/models';
import { HostRandom } from '@graftjs/nn';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { Trainer } from '../src/index.ts';

/** Grouped queries, tied embeddings, two layers: every kernel of a real run, in little. */
const config = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 48,
  intermediate_size: 80,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 12,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  initializer_range: 0.1,
};

const totalSteps = 6;

/** Sequences with a rule to learn: each token is the one before plus a step of the row's own. */
function examples(count: number, seed: number): Example[] {
  const random = new HostRandom(seed);
  return Array.from({ length: count }, () => {
    const length = 9 + Math.floor(random.uniform() * 20);
    const start = Math.floor(random.uniform() * 96);
    const stride = 1 + Math.floor(random.uniform() * 3);
    const ids = Int32Array.from({ length }, (_, i) => (start + i * stride) % 96);
    return { ids, labels: ids.map((id, i) => (i < 4 ? -100 : id)) };
  });
}

/** The numbers of a run that must be the same wherever it runs. */
export interface LossCurve {
  readonly heldOutBefore: number;
  readonly heldOutAfter: number;
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
}

/** Six steps of LoRA with dropout, accumulation and clipping, from fixed seeds. */
export async function loraRun(runtime: Runtime): Promise<LossCurve> {
  const { model } = newModel(config, { architectures: [llama], seed: 3 });
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  await peft.addAdapter(
    'default',
    loraConfig({ r: 4, loraAlpha: 8, loraDropout: 0.1, targetModules: 'all-linear' }),
    { seed: 5 },
  );
  const parameters = peft.trainableParameters();
  const losses: number[] = [];
  const gradNorms: number[] = [];
  const trainer = new Trainer({
    runtime,
    lossSum: ({ inputIds, labels }, context) => tokenLossSum(model.forward({ inputIds }, context), labels),
    parameters,
    optimizer: new AdamW(parameters, { weightDecay: 0.01 }),
    learningRate: cosineSchedule(0.02, totalSteps),
    examples: examples(20, 1),
    heldOut: examples(5, 2),
    collate: { padToMultipleOf: 16 },
    batchSize: 4,
    accumulate: 2,
    totalSteps,
    clipNorm: 0.5,
    seed: 9,
    onEvent: (event) => {
      if (event.event !== 'step') return;
      losses.push(event.loss);
      gradNorms.push(event.gradNorm);
    },
  });
  const heldOutBefore = await trainer.heldOutLoss();
  const { heldOutLoss } = await trainer.train();
  return { heldOutBefore, heldOutAfter: heldOutLoss!, losses, gradNorms };
}
