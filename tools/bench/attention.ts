import { Runtime } from '@graftjs/compiler';
import { attention } from '@graftjs/ops';
import { gradients, sum, Variable } from '@graftjs/tensor';
import type { Bench } from './bench.ts';
import { interleave, timed } from './measure.ts';
import type { Row } from './report.ts';

const heads = 8;
const kvHeads = 4;
const headDim = 32;
const lengths = [128, 256, 512] as const;

/** Causal attention of one sequence, 8 heads on 4 of keys, forward and with its gradients: by kernel, and decomposed. */
export async function benchAttention({ gpu, rounds }: Bench): Promise<Row[]> {
  const candidates = [];
  for (const tokens of lengths)
    for (const kernels of [true, false]) {
      const runtime = new Runtime(gpu, { kernels });
      const make = (h: number): Variable =>
        new Variable(
          [1, h, tokens, headDim],
          Float32Array.from({ length: h * tokens * headDim }, (_, i) => Math.sin(i * 0.37)),
        );
      const inputs = [make(heads), make(kvHeads), make(kvHeads)] as const;
      const next = inputs.map((v) => new Variable(v.shape));
      const grads = gradients(sum(attention(...inputs, { causal: true })), inputs);
      const program = await runtime.compile({ updates: next.map((v, i) => [v, grads[i]!] as const) });
      candidates.push({
        name: `${tokens} tokens, ${kernels ? 'kernel' : 'decomposed'}`,
        run: (times: number) =>
          timed(async () => {
            for (let i = 0; i < times; i++) void program.run();
            await gpu.idle();
          }),
      });
    }
  const timings = await interleave(candidates, rounds);
  return [...timings].map(([name, t]) => ({
    group: 'attention',
    name: `forward and backward, ${name}`,
    milliseconds: t.median,
    rounds,
  }));
}
