import { memoryFolder, readAdapter } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { chunkText, collate } from '@graftjs/data';
import { lora } from '@graftjs/lora';
import { llama, loadModel, tokenLossSum } from '@graftjs/models';
import { PeftModel } from '@graftjs/peft';
import { Evaluator } from '@graftjs/trainer';
import { openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { heldOutIds, heldOutRows, rows, tinyBase } from '../test/tiny-base.ts';
import type { QuickstartEvent } from './events.ts';
import { type QuickstartOptions, type QuickstartResult, runQuickstart } from './quickstart.ts';

let runtime: Runtime;
let options: QuickstartOptions;

const recipe = {
  rank: 4,
  alpha: 8,
  steps: 10,
  batchSize: 2,
  blockLength: 32,
  learningRate: 1e-2,
  evaluations: 2,
  sampleTokens: 6,
  seed: 7,
};

beforeAll(async () => {
  runtime = new Runtime(await openGpu());
  options = { runtime, base: await tinyBase(runtime), train: rows(24), heldOut: heldOutRows, ...recipe };
});
afterAll(() => runtime.gpu.close());

/** Losses of the steps of this very run, by llvmpipe under Node. */
const curveOnLlvmpipe = [
  7.85691499710083, 7.8993401527404785, 7.584779262542725, 7.43495512008667, 7.184793949127197,
  7.153013706207275, 7.091081142425537, 7.15774393081665, 6.988271236419678, 7.135606288909912,
];

async function run(changes: Partial<QuickstartOptions> = {}): Promise<{
  result: QuickstartResult;
  events: QuickstartEvent[];
}> {
  const events: QuickstartEvent[] = [];
  const result = await runQuickstart({
    ...options,
    ...changes,
    onEvent: (event) => {
      events.push(event);
      changes.onEvent?.(event);
    },
  });
  return { result, events };
}

describe('runQuickstart', () => {
  it('learns, with the same losses in every runtime', async () => {
    const { result, events } = await run();
    const curve = events.flatMap((e) => (e.event === 'step' ? e.loss : []));
    expect(curve).toHaveLength(recipe.steps);
    for (const [i, loss] of curve.entries())
      expect(Math.abs(loss / curveOnLlvmpipe[i]! - 1), `step ${i + 1}`).toBeLessThan(1e-4);
    expect(result.heldOutLossAfter).toBeLessThan(result.heldOutLossBefore - 0.3);
    expect(result).toMatchObject({ steps: 10, interrupted: false, tokens: 10 * 2 * 32 });
    expect(result.samples.map(({ prompt }) => prompt)).toEqual(result.recipe.prompts);
    expect(await result.sample(result.samples[0]!.prompt)).toEqual(result.samples[0]);
    expect(events.flatMap((e) => (e.event === 'phase' ? e.phase : []))).toEqual([
      'load',
      'sample-before',
      'evaluate',
      'train',
      'sample-after',
    ]);
    expect(events.filter((e) => e.event === 'evaluation').map((e) => e.step)).toEqual([0, 5, 10]);
  });

  it('hands out an adapter that gives the measured loss on a fresh base', async () => {
    const { result } = await run({ steps: 4 });
    const folder = memoryFolder(new Map(result.adapterFiles));
    const { config } = await readAdapter(folder);
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8, task_type: 'CAUSAL_LM' });

    const { model } = await loadModel(options.base, { architectures: [llama] });
    const peft = new PeftModel(model, { runtime, tuners: [lora] });
    const evaluator = new Evaluator(runtime, ({ inputIds, labels }, context) =>
      tokenLossSum(model.forward({ inputIds }, context), labels),
    );
    const loss = async (): Promise<number> =>
      (await evaluator.evaluate([collate(chunkText(heldOutIds(), 32))])).loss;
    await peft.loadAdapter(folder);
    expect(await loss()).toBeCloseTo(result.heldOutLossAfter, 5);
  });

  it('gives the same bits with the same seed, and others with another', async () => {
    const weights = async (seed: number): Promise<Uint8Array> =>
      (await run({ steps: 3, seed })).result.adapterFiles.get('adapter_model.safetensors')!;
    const first = await weights(1);
    expect(await weights(1)).toEqual(first);
    expect(await weights(2)).not.toEqual(first);
  });

  it('takes prompts and what it measures by from a text of its own', async () => {
    const prose = Array.from({ length: 60 }, (_, i) => `The ${i}th king of that land had ${i} ships. `).join(
      '',
    );
    const { result, events } = await run({
      train: { content: prose, file: 'kings.txt' },
      heldOut: undefined,
      steps: 2,
    });
    const start = events.find((e) => e.event === 'start')!;
    expect(start.heldOutExamples).toBeGreaterThan(0);
    for (const { prompt } of result.samples) expect(prompt).toMatch(/^The \d+th king of$/);
  });

  it('keeps what it learnt when it is stopped, and waits while it is paused', async () => {
    const stop = new AbortController();
    const waited: number[] = [];
    const { result, events } = await run({
      signal: stop.signal,
      beforeStep: async () => {
        waited.push(waited.length);
        await new Promise((resolve) => setTimeout(resolve, 20));
      },
      onEvent: (event) => {
        if (event.event === 'step' && event.step === 2) stop.abort();
      },
    });
    expect(result.interrupted).toBe(true);
    expect(result.steps).toBeLessThan(recipe.steps);
    expect(waited).toHaveLength(result.steps);
    expect(result.heldOutLossAfter).toBeLessThan(result.heldOutLossBefore);
    expect(events.filter((e) => e.event === 'step')).toHaveLength(result.steps);
  });

  it('throws the reason of a stop before the first step', async () => {
    await expect(run({ signal: AbortSignal.abort(new Error('no time')) })).rejects.toThrow('no time');
  });

  it('says how much text it needs', async () => {
    await expect(run({ train: { content: 'Short.', file: 'own.txt' }, heldOut: undefined })).rejects.toThrow(
      /own\.txt.*tokens are too few to learn from/,
    );
  });
});
