/**
 * Pretrains the base model of `@graftjs/tiny-llama` with this project's own trainer, on the text that `corpus.ts`
 * wrote, and puts the weights (F16) and the config into the package. Interrupted, it continues where it stopped.
 *
 *     npx tsx --conditions=@graftjs/source tools/pretrain/corpus.ts
 *     npx tsx --conditions=@graftjs/source tools/pretrain/pretrain.ts
 */
import { readFileSync } from 'node:fs';
import { latestValidCheckpoint } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { chunkText, joinDocuments, loadTokenizer } from '@graftjs/data';
import { llama, newModel, saveModel, tokenLossSum } from '@graftjs/models';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { Trainer } from '@graftjs/trainer';
import { openGpu } from '@graftjs/webgpu';
import { packageFiles, pretrainHeldOut, pretrainTrain, runFolder } from './paths.ts';

const blockLength = 128;
const batchSize = 8;
const totalSteps = 1400;
/** Up over 100 steps, down along a cosine made for 1,900 steps, and from step 1,000 on evenly to 0. */
const coolDownFrom = 1000;
const cosine = cosineSchedule(3e-3, 1900, { warmupSteps: 100 });
const learningRate = (step: number): number =>
  step < coolDownFrom
    ? cosine(step)
    : (cosine(coolDownFrom) * (totalSteps - step)) / (totalSteps - coolDownFrom);

const config = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  bos_token_id: 0,
  dtype: 'float32',
  eos_token_id: 0,
  head_dim: 32,
  hidden_act: 'silu',
  hidden_size: 192,
  initializer_range: 0.02,
  intermediate_size: 512,
  max_position_embeddings: 512,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 6,
  num_hidden_layers: 3,
  num_key_value_heads: 3,
  pad_token_id: 1,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_theta: 10000, rope_type: 'default' },
  tie_word_embeddings: true,
  use_cache: true,
  vocab_size: 2048,
};

const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, 'utf8'));
const tokenizer = loadTokenizer({
  tokenizerJson: json(`${packageFiles}tokenizer.json`),
  tokenizerConfig: json(`${packageFiles}tokenizer_config.json`),
});
const texts = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
const examples = chunkText(joinDocuments(texts(pretrainTrain), tokenizer), blockLength);
const heldOut = chunkText(joinDocuments(texts(pretrainHeldOut), tokenizer), blockLength).slice(0, 160);

const gpu = await openGpu();
const runtime = new Runtime(gpu);
const loaded = newModel(config, { architectures: [llama], seed: 1 });
const parameters = new Map(loaded.model.namedParameters());
const count = [...parameters.values()].reduce((n, p) => n + p.size, 0);
console.log(
  `${count} parameters, ${examples.length} blocks of ${blockLength} tokens, ${totalSteps} steps of ${batchSize} blocks, ${gpu.traits.description}`,
);

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());
const checkpoints = nodeFolder(`${runFolder}checkpoints`);
const trainer = new Trainer({
  runtime,
  lossSum: ({ inputIds, labels }, context) =>
    tokenLossSum(loaded.model.forward({ inputIds }, context), labels),
  parameters,
  optimizer: new AdamW(parameters, { betas: [0.9, 0.95], weightDecay: 0.1 }),
  learningRate,
  examples,
  collate: {},
  batchSize,
  totalSteps,
  clipNorm: 1,
  seed: 1,
  heldOut,
  evaluateEvery: 250,
  checkpoints,
  saveEvery: 250,
  signal: stop.signal,
  onEvent: (event) => {
    if (event.event === 'step' && event.step % 10 === 0)
      console.log(
        `step ${event.step}/${totalSteps} loss ${event.loss.toFixed(3)} |g| ${event.gradNorm.toFixed(2)} lr ${event.learningRate.toExponential(1)} ${event.tokensPerSecond.toFixed(0)} tok/s, ${(event.secondsLeft / 60).toFixed(0)} min left`,
      );
    if (event.event === 'evaluation')
      console.log(`held-out loss ${event.loss.toFixed(4)} at step ${event.step}`);
  },
});
const { checkpoint } = await latestValidCheckpoint(checkpoints);
if (checkpoint) await trainer.resume(checkpoint);
const result = await trainer.train();
await saveModel(runtime, nodeFolder(packageFiles), loaded, { dtype: 'F16' });
const generation = { bos_token_id: 0, eos_token_id: 0, pad_token_id: 1 };
await nodeFolder(packageFiles).writeAtomic(
  'generation_config.json',
  new TextEncoder().encode(`${JSON.stringify(generation, null, 2)}\n`),
);
console.log(JSON.stringify(result));
gpu.close();
