/** Weights in 16 bits: what is loaded, what is computed, what is saved. */
import { fileURLToPath } from 'node:url';
import { memoryFolder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Context, type WeightDType } from '@graftjs/nn';
import { constant, narrowToHalves, type Tensor, widenHalves } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { architectures } from './architectures.ts';
import { loadModel } from './load.ts';
import { saveModel } from './save.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const folderOf = (name: string) => fixtures.folder(name);

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const ids = (): Tensor => constant(Int32Array.of(5, 9, 3, 17, 40, 2, 8), [1, 7]);

async function load(name: string, weights: WeightDType | 'stored') {
  const loaded = await loadModel(folderOf(name), { architectures, weights });
  const [logits] = await runtime.evaluate([loaded.model.forward({ inputIds: ids() }, new Context())]);
  return { ...loaded, logits: logits as Float32Array };
}

const largest = (values: Float32Array): number => values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const apart = (a: Float32Array, b: Float32Array): number =>
  a.reduce((worst, v, i) => Math.max(worst, Math.abs(v - b[i]!)), 0) / largest(b);

test.each(['llama-gqa-tied', 'llama-biases', 'gpt2'])('%s: half the bytes, rounded once', async (name) => {
  const full = await load(name, 'f32');
  const bytes = (model: typeof full.model): number =>
    model.parameters().reduce((n, p) => n + (p.rank > 1 ? p.byteLength : 0), 0);
  for (const [dtype, bound] of [
    ['f16', 2e-3],
    ['bf16', 2e-2],
  ] as const) {
    const half = await load(name, dtype);
    expect(bytes(half.model)).toBe(bytes(full.model) / 2);
    expect(half.model.parameters().filter((p) => p.rank < 2 && p.dtype !== 'f32')).toEqual([]);
    expect(half.model.parameters().length).toBe(full.model.parameters().length);
    expect(apart(half.logits, full.logits)).toBeLessThan(bound);

    // The same as f32 weights that were rounded beforehand: only storage is narrow.
    const rounded = await loadModel(folderOf(name), { architectures, weights: 'f32' });
    for (const p of rounded.model.parameters())
      if (p.rank > 1) p.set(widenHalves(dtype, narrowToHalves(dtype, p.pending as Float32Array)));
    const [logits] = await runtime.evaluate([rounded.model.forward({ inputIds: ids() }, new Context())]);
    expect(apart(half.logits, logits as Float32Array)).toBeLessThan(1e-6);
  }
});

test('what a file has in 16 bits stays as it is, and is written again to the bit', async () => {
  const { model, config, json } = await load('llama-gqa-untied', 'f16');
  const saved = memoryFolder();
  await saveModel(runtime, saved, { model, config, json }, { dtype: 'F16' });
  const again = await loadModel(saved, { architectures });
  const matrices = again.model.parameters().filter((p) => p.rank > 1);
  expect(matrices.map((p) => p.dtype)).toEqual(matrices.map(() => 'f16'));
  const own = model.parameters().filter((p) => p.rank > 1);
  for (const [i, p] of matrices.entries()) expect(p.pending).toEqual(await runtime.read(own[i]!));
  const twice = memoryFolder();
  await saveModel(runtime, twice, again, { dtype: 'F16' });
  const bytes = async (folder: typeof saved) => {
    const file = await folder.open('model.safetensors');
    return file.read(0, await file.size());
  };
  expect(await bytes(twice)).toEqual(await bytes(saved));
});
