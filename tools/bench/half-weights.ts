import { readFileSync } from 'node:fs';
import { type Folder, memoryFolder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { llama, loadModel, saveModel } from '@graftjs/models';
import { runQuickstart } from '@graftjs/quickstart';
import { tinyLlamaFiles } from '@graftjs/tiny-llama';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { openGpu } from '@graftjs/webgpu';
import { noise } from './alone.ts';
import type { Bench } from './bench.ts';
import type { Row } from './report.ts';

const dtypes = ['F32', 'F16', 'BF16'] as const;
const seeds = [1, 2, 3];
const steps = 50;

/** The base moved off the numbers that f16 has: its own file is of f16, so that f16 would round nothing. */
const spread = 2e-3;

/**
 * The quickstart's fine-tune with the base stored in f32, f16 and bf16: held-out losses, for several seeds, whose spread is
 * the noise that a difference is to be judged by.
 */
export async function benchHalfWeights(_: Bench): Promise<Row[]> {
  const bases = await roundedBases();
  const text = (name: 'quickstart/train.jsonl' | 'quickstart/heldout.jsonl'): string =>
    readFileSync(tinyLlamaFiles[name], 'utf8');
  const rows: Row[] = [];
  for (const dtype of dtypes) {
    const losses: number[] = [];
    let before = Number.NaN;
    let peak = 0;
    for (const seed of seeds) {
      const gpu = await openGpu();
      const result = await runQuickstart({
        runtime: new Runtime(gpu),
        base: bases.get(dtype)!,
        train: text('quickstart/train.jsonl'),
        heldOut: text('quickstart/heldout.jsonl'),
        steps,
        seed,
        evaluations: 1,
        prompts: [],
      });
      losses.push(result.heldOutLossAfter);
      before = result.heldOutLossBefore;
      peak = gpu.stats().peakBytes;
      gpu.close();
    }
    rows.push({
      group: 'half-weights',
      name: dtype,
      lossBefore: before.toFixed(4),
      ...Object.fromEntries(losses.map((loss, i) => [`seed ${seeds[i]}`, loss.toFixed(4)])),
      lossMean: (losses.reduce((a, b) => a + b, 0) / losses.length).toFixed(4),
      lossRange: (Math.max(...losses) - Math.min(...losses)).toFixed(4),
      steps,
      peakMegabytes: peak / 1e6,
    });
  }
  return rows;
}

/** Folders of the base, moved a little, in each dtype. */
async function roundedBases(): Promise<Map<string, Folder>> {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const source = nodeFolder(tinyLlamaFolder);
  const loaded = await loadModel(source, { architectures: [llama], weights: 'f32', runtime });
  for (const [i, parameter] of loaded.model.parameters().entries()) {
    const values = (await runtime.read(parameter)) as Float32Array;
    const factors = noise(parameter.size, i + 1);
    parameter.set(values.map((value, k) => value * (1 + spread * factors[k]!)));
  }
  const folders = new Map<string, Folder>();
  for (const dtype of dtypes) {
    const folder = memoryFolder(new Map(), `tiny-llama in ${dtype}`);
    await saveModel(runtime, folder, loaded, { dtype });
    for (const name of ['tokenizer.json', 'tokenizer_config.json'] as const)
      await folder.writeAtomic(name, readFileSync(tinyLlamaFiles[name]));
    folders.set(dtype, folder);
  }
  gpu.close();
  return folders;
}
