/**
 * What a peer needs to run in Node, and how the benchmark talks to it. Import it first: libraries made for browsers
 * look for WebGPU while they load.
 *
 * They get the Dawn that Graft uses, and Graft's way of waiting for it where the adapter runs on the processor.
 */
import { create, globals } from 'webgpu';
import { waitPatiently } from '../../../packages/engine/webgpu/src/waiting.node.ts';

const gpu = create([]);
Object.assign(globalThis, globals, { window: globalThis, self: globalThis });
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
define('navigator', { gpu, userAgent: 'node', language: 'en', hardwareConcurrency: 2 });
define('document', { createElement: () => ({ getContext: () => null, style: {} }) });

// Helpers of ES2025 that Node has from version 22 on.
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
iterators.map ??= function* (change) {
  for (const value of this) yield change(value);
};
iterators.filter ??= function* (test) {
  for (const value of this) if (test(value)) yield value;
};

if (process.argv.includes('--patient'))
  for (const [type, method] of [
    [globals.GPUBuffer, 'mapAsync'],
    [globals.GPUQueue, 'onSubmittedWorkDone'],
    [globals.GPUDevice, 'createComputePipelineAsync'],
  ]) {
    const original = type.prototype[method];
    type.prototype[method] = function (...args) {
      return waitPatiently(original.apply(this, args));
    };
  }

/**
 * Serves tasks, one message after the other. `kinds[kind](input)` prepares a task and resolves to it:
 * `run(times)` does its work so often and resolves when the device has done all of it; `values()` gives results to
 * compare with those of others.
 */
export function serve(kinds) {
  const tasks = new Map();
  const methods = {
    async prepare({ task, kind, input }) {
      if (!(kind in kinds)) throw new Error(`has no task '${kind}'`);
      tasks.set(task, await kinds[kind](input));
    },
    async run({ task, times }) {
      const start = performance.now();
      await tasks.get(task).run(times);
      return performance.now() - start;
    },
    values: ({ task }) => tasks.get(task).values(),
    release({ task }) {
      tasks.get(task)?.release();
      tasks.delete(task);
    },
  };
  process.on('disconnect', () => process.exit(0));
  process.on('message', async ({ id, method, ...args }) => {
    try {
      process.send({ id, result: await methods[method](args) });
    } catch (error) {
      process.send({ id, error: String(error?.message ?? error) });
    }
  });
  process.send({ ready: true });
}
