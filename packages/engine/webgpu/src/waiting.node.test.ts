import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGpu } from './node.ts';
import type { Gpu } from './public.ts';
import { waitPatiently } from './waiting.node.ts';

/**
 * Runs for a while: many workgroups, each a chain of dependent steps without a closed form, which no compiler
 * removes. Long by their number, because older versions of llvmpipe end long loops early.
 */
const workgroups = 8000;
const slow = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> values: array<u32>;
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = values[id.x] + id.x;
  for (var i = 0u; i < 50000u; i++) { x = (x ^ (x >> 15u)) * 1664525u + 1013904223u; }
  values[id.x] = x;
}`;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

/** Milliseconds of processor time that this thread has used. */
function threadMilliseconds(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
}

describe('waiting for a long kernel on an adapter that runs on the processor', () => {
  test.runIf(process.platform === 'linux')('leaves the core to the kernel', async ({ skip }) => {
    if (!gpu.traits.isCpu) skip('the adapter is a GPU');
    const values = gpu.buffers.create(4 * 8 * workgroups, 'values');
    const pipeline = await gpu.pipeline(slow, 'slow', { storage: 1 });
    const group = gpu.bindGroup(pipeline, [values]);
    const run = () =>
      gpu.submit((encoder) => {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(workgroups);
        pass.end();
      });
    const measure = async (finished: () => Promise<unknown>) => {
      const submission = run();
      const [wall, busy] = [performance.now(), threadMilliseconds()];
      await finished();
      const result = { busy: threadMilliseconds() - busy, wall: performance.now() - wall };
      await submission.done;
      return result;
    };
    await run().done;

    const raw = await measure(() => gpu.device.queue.onSubmittedWorkDone());
    const ours = await measure(() => gpu.idle());
    const share = ({ busy, wall }: typeof raw) =>
      `${busy.toFixed(0)} of ${wall.toFixed(0)} ms (${((100 * busy) / wall).toFixed(1)} %)`;
    console.info(`this thread's processor time: polling ${share(raw)}, waiting ${share(ours)}`);

    expect(raw.wall).toBeGreaterThan(100);
    // The same kernel both times. Shares of the wall time would depend on who else uses this machine.
    expect(ours.busy).toBeLessThan(0.3 * raw.busy);
  });

  test("other people's setImmediate passes through untouched, and is theirs again afterwards", async () => {
    const { setImmediate: original } = globalThis;
    let finish: (value: string) => void = () => {};
    const wait = waitPatiently(
      new Promise<string>((resolve) => {
        finish = resolve;
      }),
    );
    expect(globalThis.setImmediate).not.toBe(original);

    const calls: unknown[] = [];
    const timed = (callback: () => void) => setImmediate(callback);
    // Enough of them to be past the first few polls.
    for (let i = 0; i < 100; i++) setImmediate((value: number) => calls.push(value), i);
    const bound = calls.push.bind(calls, 'bound');
    const immediate = timed(bound);
    expect(Object.getPrototypeOf(immediate)).toBe(Object.getPrototypeOf(original(() => {})));
    clearImmediate(timed(() => calls.push('cleared')));
    await promisify(setImmediate)();
    expect(calls).toEqual([...Array.from({ length: 100 }, (_, i) => i), 'bound']);

    finish('done');
    expect(await wait).toBe('done');
    expect(globalThis.setImmediate).toBe(original);
  });

  test('overlapping waits, failing waits, and a function that somebody put over ours', async () => {
    const { setImmediate: original } = globalThis;
    const fails = waitPatiently(Promise.reject(new Error('refused')));
    const succeeds = waitPatiently(Promise.resolve(1));
    await expect(fails).rejects.toThrow('refused');
    await succeeds;
    expect(globalThis.setImmediate).toBe(original);

    let finish = () => {};
    const wait = waitPatiently(
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
    );
    const under = globalThis.setImmediate;
    const theirs = ((...args: Parameters<typeof setImmediate>) =>
      under(...args)) as unknown as typeof setImmediate;
    globalThis.setImmediate = theirs;
    finish();
    await wait;
    expect(globalThis.setImmediate).toBe(theirs);
    await new Promise<void>((resolve) => setImmediate(resolve));
    globalThis.setImmediate = under;
    await waitPatiently(Promise.resolve());
    expect(globalThis.setImmediate).toBe(original);
  });
});
