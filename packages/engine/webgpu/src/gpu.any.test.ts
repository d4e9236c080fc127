import { openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Gpu, GpuBuffer } from './public.ts';
import {
  DeviceClosedError,
  DeviceLostError,
  LimitError,
  PassTimer,
  ShaderError,
  ValidationError,
} from './public.ts';

/** values[i] = values[i] * scale + i, for `count` values. */
const affine = /* wgsl */ `
struct Params { count: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { values[id.x] = values[id.x] * params.scale + f32(id.x); }
}`;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

function params(count: number, scale: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, count, true);
  new DataView(bytes.buffer).setFloat32(4, scale, true);
  return bytes;
}

/** A closure that runs the affine kernel once more over `values`. */
async function affineOver(values: GpuBuffer, count: number, scale: number) {
  const pipeline = await gpu.pipeline(affine, 'affine', { storage: 1, uniform: true });
  const uniform = gpu.buffers.uniform(8, 'params');
  gpu.write(uniform, 0, params(count, scale));
  const group = gpu.bindGroup(pipeline, [values, uniform]);
  return () =>
    gpu.submit((encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.ceil(count / 64));
      pass.end();
    });
}

const floats = async (buffer: GpuBuffer, offset?: number, length?: number) => [
  ...new Float32Array(await gpu.read(buffer, offset, length)),
];

describe('running', () => {
  test('a kernel runs, and its values come back', async () => {
    const values = gpu.buffers.create(4 * 100, 'values');
    gpu.write(
      values,
      0,
      Float32Array.from({ length: 100 }, (_, i) => i),
    );
    const run = await affineOver(values, 100, 2);
    await run().done;
    expect(await floats(values)).toEqual(Array.from({ length: 100 }, (_, i) => 3 * i));
    gpu.buffers.release(values);
  });

  test('reads see what was submitted before them, and nothing later', async () => {
    const values = gpu.buffers.create(4, 'counter');
    gpu.write(values, 0, new Float32Array([1]));
    const run = await affineOver(values, 1, 2);
    const reads: Promise<number[]>[] = [];
    for (let i = 0; i < 40; i++) {
      reads.push(floats(values));
      run();
    }
    expect((await Promise.all(reads)).flat()).toEqual(Array.from({ length: 40 }, (_, i) => 2 ** i));
    gpu.buffers.release(values);
  });

  test('epochs grow, and done of the last means done of all', async () => {
    const values = gpu.buffers.create(4, 'counter');
    gpu.write(values, 0, new Float32Array([1]));
    const run = await affineOver(values, 1, 2);
    const submissions = Array.from({ length: 5 }, run);
    const epochs = submissions.map(({ epoch }) => epoch);
    expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
    expect(new Set(epochs).size).toBe(5);
    await submissions[4]!.done;
    await submissions[0]!.done;
    expect(await floats(values)).toEqual([32]);
    gpu.buffers.release(values);
  });

  test('writes and reads at any offset and of any length', async () => {
    const buffer = gpu.buffers.create(10, 'bytes');
    expect(buffer.byteLength).toBe(12);
    gpu.write(
      buffer,
      0,
      Uint8Array.from({ length: 10 }, (_, i) => i + 1),
    );
    expect([...new Uint8Array(await gpu.read(buffer))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0]);
    expect([...new Uint8Array(await gpu.read(buffer, 3, 5))]).toEqual([4, 5, 6, 7, 8]);
    expect((await gpu.read(buffer, 4, 0)).byteLength).toBe(0);
    const view = new Uint8Array([9, 9, 50, 51, 52, 53, 9]).subarray(2, 6);
    gpu.write(buffer, 4, view);
    expect([...new Uint8Array(await gpu.read(buffer, 3, 6))]).toEqual([4, 50, 51, 52, 53, 9]);
    expect(() => gpu.write(buffer, 0, new Uint8Array(3))).toThrow(RangeError);
    expect(() => gpu.write(buffer, 2, new Uint8Array(4))).toThrow(RangeError);
    expect(() => gpu.write(buffer, 8, new Uint8Array(8))).toThrow(RangeError);
    await expect(gpu.read(buffer, 8, 8)).rejects.toThrow(RangeError);
    gpu.buffers.release(buffer);
  });

  test('data larger than one chunk arrives whole', async () => {
    const count = 66 * 2 ** 18;
    const buffer = gpu.buffers.create(4 * count, 'large');
    const data = new Uint32Array(count);
    for (let i = 0; i < count; i++) data[i] = Math.imul(i, 2654435761);
    gpu.write(buffer, 0, data);
    const back = new Uint32Array(await gpu.read(buffer));
    expect(back.findIndex((value, i) => value !== data[i])).toBe(-1);
    gpu.buffers.release(buffer);
    gpu.buffers.trim();
  });

  test('a slice of a buffer is bound at its offset', async () => {
    const { storageAlignment } = gpu.traits;
    const arena = gpu.buffers.create(4 * storageAlignment, 'arena');
    gpu.write(arena, 0, new Float32Array(storageAlignment).fill(1));
    const pipeline = await gpu.pipeline(affine, 'affine', { storage: 1, uniform: true });
    const uniform = gpu.buffers.uniform(8, 'params');
    gpu.write(uniform, 0, params(1, 5));
    const slice = { buffer: arena, offset: storageAlignment, byteLength: 4 };
    const group = gpu.bindGroup(pipeline, [slice, uniform]);
    gpu.submit((encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
      pass.end();
    });
    const values = await floats(arena);
    expect(values[storageAlignment / 4]).toBe(5);
    expect(values.filter((value) => value !== 1)).toEqual([5]);
    gpu.buffers.release(arena);
    gpu.buffers.release(uniform);
  });

  test('one text is compiled once; another layout is another pipeline', async () => {
    const text = `${affine}\n// compiled once`;
    const before = gpu.stats().pipelines;
    const [a, b] = await Promise.all([
      gpu.pipeline(text, 'a', { storage: 1, uniform: true }),
      gpu.pipeline(text, 'b', { storage: 1, uniform: true }),
    ]);
    expect(a).toBe(b);
    expect(gpu.stats().pipelines).toBe(before + 1);
    expect(await gpu.pipeline(text, 'c', { storage: 1, uniform: 'dynamic' })).not.toBe(a);
  });

  test('passes are timed where the device can', async () => {
    const timer = PassTimer.for(gpu, 2);
    expect(timer === undefined).toBe(!gpu.traits.hasTimestamps);
    if (!timer) return;
    const count = 1 << 16;
    const values = gpu.buffers.create(4 * count, 'values');
    const pipeline = await gpu.pipeline(affine, 'affine', { storage: 1, uniform: true });
    const uniform = gpu.buffers.uniform(8, 'params');
    gpu.write(uniform, 0, params(count, 1));
    const group = gpu.bindGroup(pipeline, [values, uniform]);
    gpu.submit((encoder) => {
      for (const [label, repeats] of [
        ['once', 1],
        ['often', 60],
        ['past the capacity', 1],
      ] as const) {
        const pass = encoder.beginComputePass(timer.pass(label));
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(count / 64);
        pass.end();
      }
      timer.resolve(encoder);
    });
    const times = await timer.read();
    expect(times.map(({ label }) => label)).toEqual(['once', 'often']);
    expect(times[0]!.nanoseconds).toBeGreaterThanOrEqual(0);
    expect(times[1]!.nanoseconds).toBeGreaterThan(times[0]!.nanoseconds);
    timer.close();
    gpu.buffers.release(values);
    gpu.buffers.release(uniform);
  });
});

describe('memory', () => {
  test('a released buffer is reused only after the work that may use it', async () => {
    await gpu.idle();
    const size = 4 * 12_345;
    const first = gpu.buffers.create(size, 'first');
    const run = await affineOver(first, 12_345, 1);
    run();
    gpu.buffers.release(first);
    const during = gpu.buffers.create(size, 'during');
    expect(during.handle).not.toBe(first.handle);
    await gpu.idle();
    const after = gpu.buffers.create(size, 'after');
    expect(after.handle).toBe(first.handle);
    gpu.buffers.release(during);
    gpu.buffers.release(after);
  });

  test('a release in the middle of an encoding waits for that submission', async () => {
    await gpu.idle();
    const size = 4 * 23_456;
    const buffer = gpu.buffers.create(size, 'released early');
    gpu.write(buffer, 0, new Float32Array([7]));
    let other: GpuBuffer | undefined;
    gpu.submit((encoder) => {
      encoder.clearBuffer(buffer.handle, 4, 4);
      gpu.buffers.release(buffer);
      other = gpu.buffers.create(size, 'other');
    });
    expect(other!.handle).not.toBe(buffer.handle);
    await gpu.idle();
    const again = gpu.buffers.create(size, 'again');
    expect(again.handle).toBe(buffer.handle);
    gpu.buffers.release(other!);
    gpu.buffers.release(again);
  });

  test('a read of a buffer that is released at once, and written again, is whole', async () => {
    const size = 4 * 4_567;
    const reads: Promise<number[]>[] = [];
    for (let i = 0; i < 20; i++) {
      const buffer = gpu.buffers.create(size, `round ${i}`);
      gpu.write(buffer, 0, new Float32Array(4_567).fill(i));
      reads.push(floats(buffer));
      gpu.buffers.release(buffer);
      if (i % 5 === 4) await gpu.idle();
    }
    for (const [i, values] of (await Promise.all(reads)).entries())
      expect(values.every((value) => value === i)).toBe(true);
  });

  test('buffers made and released over and over are a few buffers', async () => {
    await gpu.idle();
    const before = gpu.stats();
    for (let i = 0; i < 50; i++) {
      const buffer = gpu.buffers.create(4 * 34_567, 'again and again');
      gpu.write(buffer, 0, new Float32Array([i]));
      expect((await floats(buffer, 0, 4))[0]).toBe(i);
      gpu.buffers.release(buffer);
      await gpu.idle();
    }
    const after = gpu.stats();
    expect(after.buffersCreated - before.buffersCreated).toBeLessThanOrEqual(2);
    expect(after.bytesLive).toBe(before.bytesLive);
    expect(after.peakBytes).toBeGreaterThanOrEqual(after.bytesAllocated);
    gpu.buffers.trim();
    expect(gpu.stats().bytesAllocated).toBeLessThan(after.bytesAllocated);
  });

  test('a released buffer is refused', async () => {
    const buffer = gpu.buffers.create(4, 'gone');
    gpu.buffers.release(buffer);
    expect(() => gpu.buffers.release(buffer)).toThrow(/'gone' is released already/);
    expect(() => gpu.write(buffer, 0, new Uint8Array(4))).toThrow(ValidationError);
    await expect(gpu.read(buffer)).rejects.toThrow(/'gone' was released/);
  });
});

describe('errors', () => {
  test('a kernel that does not compile names its line', async () => {
    const text = '@compute @workgroup_size(1)\nfn main() {\n  let x = nowhere;\n}';
    const error = await gpu.pipeline(text, 'broken', { storage: 0 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ShaderError);
    expect(error).toMatchObject({ label: 'broken', line: 3, wgsl: text });
    expect((error as Error).message).toContain("Kernel 'broken', line 3");
    expect((error as Error).message).toContain('let x = nowhere;');
    // It is reported once, and not again by what is awaited next.
    await gpu.idle();
  });

  test('a kernel that does not fit its layout is a ShaderError without a line', async () => {
    const error = await gpu.pipeline(affine, 'misfit', { storage: 1 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ShaderError);
    expect(error).toMatchObject({ label: 'misfit', line: undefined });
    expect((error as Error).message).toMatch(/binding/i);
    await gpu.idle();
  });

  test('a mistake comes from the next awaited call, once', async () => {
    const buffer = gpu.buffers.create(16, 'small');
    gpu.submit((encoder) => encoder.copyBufferToBuffer(buffer.handle, 0, buffer.handle, 8, 4096));
    await expect(gpu.read(buffer)).rejects.toThrow(ValidationError);
    expect((await gpu.read(buffer)).byteLength).toBe(16);
    const bad = gpu.submit((encoder) => encoder.copyBufferToBuffer(buffer.handle, 0, buffer.handle, 8, 4096));
    await expect(bad.done).rejects.toThrow(ValidationError);
    await gpu.idle();
    gpu.buffers.release(buffer);
  });

  test('an encoding that throws submits nothing', async () => {
    const { submissions } = gpu.stats();
    const encode = () =>
      gpu.submit(() => {
        throw new Error('in the encoding');
      });
    expect(encode).toThrow('in the encoding');
    expect(() => gpu.submit(() => void gpu.submit(() => {}))).toThrow(/while another/);
    expect(gpu.stats().submissions).toBe(submissions);
    await gpu.submit(() => {}).done;
  });

  test('what is larger than the device says which limit', async () => {
    const { maxBufferSize, maxStorageBuffers } = gpu.traits;
    const asked = 4 * Math.ceil((maxBufferSize + 1) / 4);
    let error: unknown;
    try {
      gpu.buffers.create(maxBufferSize + 1, 'everything');
    } catch (reason) {
      error = reason;
    }
    expect(error).toBeInstanceOf(LimitError);
    expect(error).toMatchObject({ limit: 'maxBufferSize', asked, available: maxBufferSize });
    await expect(gpu.pipeline('// many', 'many', { storage: maxStorageBuffers + 1 })).rejects.toMatchObject({
      name: 'LimitError',
      limit: 'maxStorageBuffersPerShaderStage',
    });
    expect(() => gpu.buffers.create(-1, 'negative')).toThrow(RangeError);
    expect(() => gpu.buffers.create(Number.NaN, 'no number')).toThrow(RangeError);
  });
});

describe('options', () => {
  test('features that are switched off are absent, and limits are those of the smaller device', async () => {
    const small = await openGpu({
      features: { f16: false, subgroups: false },
      limits: { maxBufferSize: 2 ** 20, maxStorageBuffers: 8, maxInvocations: 256 },
    });
    expect(small.traits).toMatchObject({
      hasF16: false,
      subgroupSize: 0,
      maxBufferSize: 2 ** 20,
      maxStorageBuffers: 8,
      maxInvocations: 256,
    });
    expect(() => small.buffers.create(2 ** 20 + 4, 'too large')).toThrow(LimitError);
    const wide = '@compute @workgroup_size(512) fn main() {}';
    await expect(small.pipeline(wide, 'wide', { storage: 0 })).rejects.toThrow(ShaderError);
    const half = 'enable f16; @compute @workgroup_size(1) fn main() { var x: f16 = 1h; x += 1h; }';
    await expect(small.pipeline(half, 'half', { storage: 0 })).rejects.toThrow(ShaderError);
    small.close();
  });

  test("the adapter's own limits are asked for, not the defaults", async () => {
    const inNode = (globalThis as { [key: symbol]: unknown })[Symbol.for('@graftjs/webgpu.dawn')];
    const entry = inNode ? await (inNode as Map<string, Promise<GPU>>).get('') : navigator.gpu;
    const { limits } = (await entry!.requestAdapter())!;
    expect(gpu.traits).toMatchObject({
      maxBufferSize: limits.maxBufferSize,
      maxBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupStorage: limits.maxComputeWorkgroupStorageSize,
      storageAlignment: limits.minStorageBufferOffsetAlignment,
    });
  });
});

describe('the end', () => {
  test('close() ends what is under way and what comes later', async () => {
    const other = await openGpu();
    const buffer = other.buffers.create(1024, 'values');
    const pending = [other.read(buffer), other.idle(), other.submit(() => {}).done];
    const outcomes = Promise.allSettled(pending);
    other.close();
    other.close();
    for (const outcome of await outcomes) {
      expect(outcome.status).toBe('rejected');
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(DeviceClosedError);
    }
    await expect(other.read(buffer)).rejects.toThrow(DeviceClosedError);
    await expect(other.idle()).rejects.toThrow(DeviceClosedError);
    await expect(other.pipeline(affine, 'late', { storage: 1 })).rejects.toThrow(DeviceClosedError);
    expect(() => other.write(buffer, 0, new Uint8Array(4))).toThrow(DeviceClosedError);
    expect(() => other.submit(() => {})).toThrow(DeviceClosedError);
    expect(() => other.buffers.create(4, 'late')).toThrow(DeviceClosedError);
  });

  test('a lost device ends what is under way, and says so', async () => {
    const other = await openGpu();
    const buffer = other.buffers.create(1024, 'values');
    const read = other.read(buffer).catch((reason: unknown) => reason);
    other.device.destroy();
    const lost = await other.lost;
    expect(lost).toBeInstanceOf(DeviceLostError);
    expect(lost.reason).toBe('destroyed');
    expect(await read).toBeInstanceOf(DeviceLostError);
    await expect(other.idle()).rejects.toBe(lost);
    expect(() => other.submit(() => {})).toThrow(DeviceLostError);
  });
});
