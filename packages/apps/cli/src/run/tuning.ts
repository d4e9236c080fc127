import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  PlanningRuntime,
  type Runtime,
  Tuner,
  type TunerOptions,
  type TuningRecord,
} from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { gradients, Variable } from '@graftjs/tensor';
import { z } from 'zod';
import { TuningFileError } from '../errors.ts';

/** Where `graft doctor --tune` keeps what it measured; a run keeps a copy beside its configuration. */
export const TUNING = 'tuning.json';
export const tuningFile = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'graft', TUNING);

const record = z.strictObject({
  adapter: z.string(),
  kernels: z.string(),
  choices: z.array(
    z.strictObject({
      family: z.string(),
      problemClass: z.string(),
      config: z.string(),
      default: z.string(),
      gain: z.number(),
      milliseconds: z.record(z.string(), z.number()),
    }),
  ),
});

/**
 * What was measured before; undefined where nothing was.
 * @throws TuningFileError where the file is damaged
 */
export async function readTuning(file = tuningFile()): Promise<TuningRecord | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return record.parse(JSON.parse(text));
  } catch (cause) {
    throw new TuningFileError(file, { cause });
  }
}

export async function writeTuning(tuning: TuningRecord, file = tuningFile()): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.tmp`, `${JSON.stringify(tuning, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}

/** A layer of SmolLM2-135M: its step has products of every form that decoders have. */
const shape = {
  model_type: 'llama',
  vocab_size: 2048,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 1,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  tie_word_embeddings: true,
} as const;
const [batchSize, tokens] = [2, 256] as const;

/** Measures the products of a LoRA step of a small language model; no model is loaded and none is trained. */
export async function tune({ gpu }: Runtime, options: TunerOptions): Promise<TuningRecord> {
  const tuner = new Tuner(gpu, options);
  const planning = new PlanningRuntime({ ...gpu.traits, measured: tuner });
  const model = llama.build(llama.parseConfig(shape));
  const peft = new PeftModel(model, { runtime: planning, tuners: [lora] });
  await peft.addAdapter('default', loraConfig({ r: 8, targetModules: 'all-linear' }));
  const ids = (): Variable => new Variable([batchSize, tokens], undefined, { dtype: 'i32' });
  const logits = model.forward({ inputIds: ids() }, new Context({ training: true }));
  await planning.compile({
    outputs: gradients(tokenLossSum(logits, ids()), [...peft.trainableParameters().values()]),
  });
  await tuner.measure();
  return tuner.toRecord();
}
