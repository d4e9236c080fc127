import { join, resolve } from 'node:path';
import { Generator } from '@graftjs/generate';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { parseConfig } from '../config/parse.ts';
import type { Config } from '../config/schema.ts';
import { numberFlag } from '../flag-values.ts';
import { duration } from '../report/duration.ts';
import { bytes, counted } from '../report/progress-line.ts';
import type { Reporter } from '../report/reporter.ts';
import { type Prepared, prepare } from '../run/prepare.ts';
import { checkOutput, createRun } from '../run/run-folder.ts';
import { trainPrepared } from '../run/train-prepared.ts';

/** Optimizer steps: what fits into three minutes on two cores with the software adapter, loading and samples included. */
const STEPS = 120;

/** What the samples begin with, before and after. */
const prompts = ['And it came to pass', 'The king said unto', 'In the morning'];
const sampling = { maxNewTokens: 40, temperature: 0.7, topK: 40, seed: 1 };

export const quickstart = defineCommand({
  meta: { name: 'graft quickstart', description: 'Fine-tune the small built-in model on the built-in text' },
  args: {
    output: {
      type: 'string',
      valueHint: 'folder',
      description: 'The run folder; runs/quickstart-<time> unless given',
    },
    steps: {
      type: 'string',
      valueHint: String(STEPS),
      description: `Optimizer steps; ${STEPS} unless given`,
    },
    model: { type: 'string', valueHint: 'folder', description: 'Another base model than the built-in one' },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { host, reporter } = data as CommandData;
    const start = performance.now();
    const config = quickstartConfig({
      model: resolve(args.model ?? tinyLlamaFolder),
      output: resolve(args.output ?? join('runs', `quickstart-${timeStamp()}`)),
      steps: numberFlag('steps', args.steps, STEPS, { least: 1, whole: true }),
    });
    await checkOutput(config.output, false);
    reporter.configure({ logEvery: config.training.logEvery });
    const prepared = await prepare(config, reporter);
    const run = await createRun(config, false);
    try {
      // Before the first step the adapter adds nothing: these are the base's words.
      const before = await writeSamples(prepared, reporter, 'before');
      const outcome = await trainPrepared(prepared, run, { host, reporter });
      const after = await writeSamples(prepared, reporter, 'after');
      const seconds = (performance.now() - start) / 1000;
      const result = {
        adapter: outcome.adapter,
        heldOutLossBefore: outcome.heldOutLossBefore,
        heldOutLossAfter: outcome.heldOutLossAfter,
        seconds,
        tokensPerSecond: outcome.tokensPerSecond,
        peakBytes: prepared.runtime.gpu.stats().peakBytes,
        device: outcome.device,
        steps: outcome.steps,
        trainSeconds: outcome.seconds,
        samples: { before, after },
      };
      reporter.result(result, summary(config, result));
    } finally {
      await run.release();
      prepared.runtime.gpu.close();
    }
  },
});

/** LoRA of rank 8 on all linear layers, on the text that comes with the model. */
function quickstartConfig({
  model,
  output,
  steps,
}: {
  model: string;
  output: string;
  steps: number;
}): Config {
  const text = (name: string): string => join(tinyLlamaFolder, 'quickstart', name);
  return parseConfig(
    JSON.stringify({
      model,
      output,
      data: { train: text('train.jsonl'), heldOut: text('heldout.jsonl'), maxLength: 128 },
      method: { type: 'lora', r: 8, alpha: 16, targetModules: 'all-linear' },
      training: {
        steps,
        batchSize: 8,
        learningRate: 1e-3,
        warmup: 0.05,
        seed: 0,
        evaluateEvery: 1000,
        saveEvery: 100,
      },
    }),
  );
}

export interface Sample {
  readonly prompt: string;
  readonly text: string;
}

async function writeSamples(
  { runtime, model, tokenizer }: Prepared,
  reporter: Reporter,
  when: 'before' | 'after',
): Promise<Sample[]> {
  // A new generator each time: programs keep the adapters of the time when they were compiled.
  const generator = new Generator(runtime, model);
  const samples: Sample[] = [];
  for (const prompt of prompts) {
    const ids = await generator.generate(tokenizer.encode(prompt), sampling);
    const sample = { prompt, text: tokenizer.decode(ids, { skipSpecialTokens: true }) };
    samples.push(sample);
    reporter.report({ event: 'sample', when, ...sample });
  }
  generator.close();
  return samples;
}

/** `20260131-142501`, in local time. */
function timeStamp(): string {
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

interface QuickstartResult {
  readonly adapter: string;
  readonly heldOutLossBefore: number | null;
  readonly heldOutLossAfter: number | null;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
  readonly device: string;
  readonly steps: number;
}

function summary(config: Config, result: QuickstartResult): string {
  const loss = (value: number | null): string => value?.toFixed(3) ?? '–';
  const flags = `--model ${config.model} --adapter ${result.adapter}`;
  return [
    '',
    `held-out loss ${loss(result.heldOutLossBefore)} before, ${loss(result.heldOutLossAfter)} after ${result.steps} steps`,
    `${duration(result.seconds)} in all, ${counted(result.tokensPerSecond)} tokens/s, ${bytes(result.peakBytes)} at the peak, on ${result.device}`,
    `adapter: ${result.adapter}`,
    `try it: graft generate ${flags} --prompt "${prompts[0]}"`,
  ].join('\n');
}
