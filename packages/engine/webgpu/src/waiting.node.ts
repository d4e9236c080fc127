/**
 * Waits without burning a core, in Node on a CPU adapter.
 *
 * While a promise of Dawn's is pending, its binding polls: a native callback gives itself to
 * `globalThis.setImmediate` again and again (AsyncRunner::ScheduleProcessEvents, which looks the function up on
 * the global object each time). That takes a core from the very threads that compute. So, while a wait of ours
 * is pending and for such callbacks only, each poll after the first few comes from a timer.
 *
 * Measured on llvmpipe (Mesa 25.0.7), 2 cores, Node 20.20, webgpu 0.6.2, 2026-11-23, with
 * `npx vitest run --project node packages/engine/webgpu/src/waiting.node.test.ts`, three runs: for the same kernel
 * this thread used 651 to 684 ms of processor time polling and 14 to 31 ms waiting, and the kernel was done after
 * 1801 to 2744 ms and 1188 to 1773 ms.
 */

/** Polls at full speed at first: a short wait (a small read takes 0.1 ms) should not pay for a timer. */
const spins = 40;
/** Then in steps of 2 % of the time waited so far, which is what a wait may lose. */
const share = 0.02;
const shortestPauseMs = 1;
const longestPauseMs = 8;

// Taken now, so that a program that fakes its timers later does not stop the polling.
const { setTimeout, performance } = globalThis;

let waits = 0;
let spun = 0;
let since = 0;
let installed: { readonly original: typeof setImmediate; readonly slowed: typeof setImmediate } | undefined;

/** A function of a native binding. A bound function prints alike, but has a name and no `prototype`. */
function isNative(callback: unknown): boolean {
  return (
    typeof callback === 'function' &&
    callback.name === '' &&
    Object.hasOwn(callback, 'prototype') &&
    Function.prototype.toString.call(callback).includes('[native code]')
  );
}

function install(): void {
  const original = globalThis.setImmediate;
  const slowed = function (this: unknown, ...args: Parameters<typeof setImmediate>) {
    if (waits === 0 || args.length !== 1 || !isNative(args[0]) || spun++ < spins)
      return original.apply(this, args);
    const pause = share * (performance.now() - since);
    return setTimeout(args[0], Math.min(Math.max(pause, shortestPauseMs), longestPauseMs));
  };
  // What others see on it (util.promisify's symbol) stays.
  Object.defineProperties(slowed, Object.getOwnPropertyDescriptors(original));
  installed = { original, slowed: slowed as unknown as typeof setImmediate };
  globalThis.setImmediate = installed.slowed;
}

/** `promise`, polled for patiently. */
export async function waitPatiently<T>(promise: Promise<T>): Promise<T> {
  if (!installed) install();
  waits++;
  spun = 0;
  since = performance.now();
  try {
    return await promise;
  } finally {
    waits--;
    // Where somebody put their own function over ours, ours stays below it and passes everything through.
    if (waits === 0 && installed && globalThis.setImmediate === installed.slowed) {
      globalThis.setImmediate = installed.original;
      installed = undefined;
    }
  }
}
