import type { Runtime } from '@graftjs/compiler';
import { type Tensor, Variable } from '@graftjs/tensor';
import { interleave, type Timing, timed } from './measure.ts';

/** Times the computation of tensors that stay on the device. */
export async function timeTensors(
  runtime: Runtime,
  tensors: readonly Tensor[],
  rounds: number,
): Promise<Timing> {
  const updates = tensors.map((t) => [new Variable(t.shape, undefined, { dtype: t.dtype }), t] as const);
  const program = await runtime.compile({ updates });
  const run = (times: number): Promise<number> =>
    timed(async () => {
      for (let i = 0; i < times; i++) void program.run();
      await runtime.gpu.idle();
    });
  const timing = await timeRuns(run, rounds);
  for (const [result] of updates) runtime.release(result);
  return timing;
}

/** Times one thing, without others beside it. */
export async function timeRuns(run: (times: number) => Promise<number>, rounds: number): Promise<Timing> {
  return (await interleave([{ name: 'alone', run }], rounds)).get('alone')!;
}

/** Evenly spread over -1 to 1, the same each time. */
export function noise(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}
