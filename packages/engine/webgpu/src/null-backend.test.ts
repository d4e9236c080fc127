import { afterEach, beforeEach, expect, test } from 'vitest';
import { openGpu } from './node.ts';
import { type Gpu, OutOfMemoryError, ShaderError } from './public.ts';

// Dawn's null backend validates every call and runs nothing; it has 512 MiB of memory.

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openGpu({ backend: 'null' });
});
afterEach(() => gpu.close());

test('it needs no driver, and counts as an adapter on the processor', async () => {
  expect(gpu.traits.description).toMatch(/null/i);
  expect(gpu.traits.isCpu).toBe(true);
  // Its subgroups may have 4 to 128 invocations, which is not one number.
  expect(gpu.traits.subgroupSize).toBe(0);
  await gpu.submit(() => {}).done;
});

test('kernels are checked', async () => {
  const wgsl = '@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(8)\n';
  await gpu.pipeline(`${wgsl}fn main() { x[0] = 1; }`, 'good', { storage: 1 });
  const bad = gpu.pipeline(`${wgsl}fn main() { x[0] = 1u; }`, 'bad', { storage: 1 });
  await expect(bad).rejects.toThrow(ShaderError);
  await expect(bad).rejects.toMatchObject({ line: 3 });
});

test('running out of memory comes from the next awaited call, with what was asked for', async () => {
  const weights = gpu.buffers.create(250 * 2 ** 20, 'weights');
  const state = gpu.buffers.create(150 * 2 ** 20, 'state');
  const tooMuch = gpu.buffers.create(200 * 2 ** 20, 'activations');
  // What uses it is invalid too: the memory is named, not the consequence.
  gpu.submit((encoder) => encoder.clearBuffer(tooMuch.handle));
  const error = await gpu.idle().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toMatchObject({
    bytes: 200 * 2 ** 20,
    label: 'activations',
    allocatedBytes: 400 * 2 ** 20,
  });
  expect((error as Error).message).toContain("'activations'");

  await gpu.idle();
  gpu.buffers.release(tooMuch);
  expect(gpu.stats().bytesAllocated).toBe(400 * 2 ** 20);

  const again = gpu.buffers.create(200 * 2 ** 20, 'again');
  expect(again.handle).not.toBe(tooMuch.handle);
  await expect(gpu.read(again, 0, 4)).rejects.toThrow(OutOfMemoryError);
  gpu.buffers.release(again);
  gpu.buffers.release(state);
  await gpu.idle();
  const fits = gpu.buffers.create(200 * 2 ** 20, 'fits');
  await gpu.read(fits, 0, 4);
  gpu.buffers.release(fits);
  gpu.buffers.release(weights);
});

test('memory that is kept for reuse is bounded, and given back when somebody needs it', async () => {
  for (let i = 0; i < 10; i++) {
    gpu.buffers.release(gpu.buffers.create((40 + i) * 2 ** 20, `size ${i}`));
    await gpu.idle();
  }
  const { bytesLive, bytesAllocated } = gpu.stats();
  expect(bytesLive).toBe(0);
  expect(bytesAllocated).toBeGreaterThan(0);
  expect(bytesAllocated).toBeLessThanOrEqual(256 * 2 ** 20);
  const [a, b] = ['a', 'b'].map((label) => gpu.buffers.create(250 * 2 ** 20, label));
  await gpu.idle();
  expect(gpu.stats()).toMatchObject({ bytesLive: 500 * 2 ** 20, bytesAllocated: 500 * 2 ** 20 });
  gpu.buffers.release(a!);
  gpu.buffers.release(b!);
});
