import { Runtime } from '@graftjs/compiler';
import { attention } from '@graftjs/ops';
import { gradients, sum, type Tensor, Variable } from '@graftjs/tensor';
import type { Bench } from './bench.ts';
import { interleave, timed } from './measure.ts';
import type { Row } from './report.ts';

const heads = 8;
const kvHeads = 4;
const headDim = 32;

/** Above this many tokens the decomposition's scores are left out: they grow with the square. */
const mostDecomposed = 1024;

/** Causal attention of one sequence, 8 heads on 4 of keys, forward and with its gradients: by kernel, and decomposed. */
export const benchAttention = (bench: Bench): Promise<Row[]> =>
  benchLengths(bench, 'attention', [256, 512, 1024, 2048]);

/** The same of long sequences. */
export const benchLongAttention = (bench: Bench): Promise<Row[]> =>
  benchLengths({ ...bench, rounds: Math.min(bench.rounds, 2) }, 'attention-long', [4096, 8192]);

async function benchLengths(
  { gpu, rounds }: Bench,
  group: string,
  lengths: readonly number[],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const tokens of lengths) {
    const kinds = tokens <= mostDecomposed ? [true, false] : [true];
    const runtimes = kinds.map((kernels) => new Runtime(gpu, { kernels }));
    const candidates = [];
    for (const [i, kernels] of kinds.entries())
      for (const backward of [false, true])
        candidates.push(await candidate(runtimes[i]!, { tokens, kernels, backward }));
    for (const [name, t] of await interleave(candidates, rounds))
      rows.push({ group, name, milliseconds: t.median, rounds });
    // the decomposition's temporaries are large
    for (const { arena } of runtimes) gpu.buffers.release(arena.buffer);
  }
  return rows;
}

interface Wanted {
  readonly tokens: number;
  readonly kernels: boolean;
  readonly backward: boolean;
}

async function candidate(runtime: Runtime, { tokens, kernels, backward }: Wanted) {
  const make = (h: number): Variable =>
    new Variable(
      [1, h, tokens, headDim],
      Float32Array.from({ length: h * tokens * headDim }, (_, i) => Math.sin(i * 0.37)),
    );
  const inputs = [make(heads), make(kvHeads), make(kvHeads)] as const;
  const mixed = attention(...inputs, { causal: true });
  const results: readonly Tensor[] = backward ? gradients(sum(mixed), inputs) : [mixed];
  const updates = results.map((result) => [new Variable(result.shape), result] as const);
  const program = await runtime.compile({ updates });
  return {
    name: `${backward ? 'forward and backward' : 'forward'}, ${tokens} tokens, ${kernels ? 'kernel' : 'decomposed'}`,
    run: (times: number) =>
      timed(async () => {
        for (let i = 0; i < times; i++) void program.run();
        await runtime.gpu.idle();
      }),
  };
}
