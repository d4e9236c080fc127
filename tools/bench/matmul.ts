import { Runtime } from '@graftjs/compiler';
import { matmul, transpose, Variable } from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';
import { interleave } from './measure.ts';
import type { Row } from './report.ts';

/** `[m, k] x [k, n]`; `nt`: the second operand stored `[n, k]`; `tn`: the first stored `[k, m]`. */
const problems: readonly (readonly [string, number, number, number, 'nn' | 'nt' | 'tn'])[] = [
  ['square 512', 512, 512, 512, 'nn'],
  ['projection 1024x768x768', 1024, 768, 768, 'nt'],
  ['its gradient', 1024, 768, 768, 'nn'],
  ['feed-forward 1024x768x3072', 1024, 768, 3072, 'nt'],
  ['weight gradient 768x1024x768', 768, 1024, 768, 'tn'],
  ['decode 8x768x768', 8, 768, 768, 'nt'],
  ['LoRA down, rank 8', 1024, 768, 8, 'nt'],
  ['LoRA up, rank 8', 1024, 8, 768, 'nt'],
  ['LoRA gradient 8x1024x768', 8, 1024, 768, 'tn'],
];

const noise = (length: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * 0.5);

/** Matrix products of a small transformer's step: milliseconds and GFLOP/s. */
export async function benchMatmul(gpu: Gpu, rounds: number): Promise<Row[]> {
  const runtime = new Runtime(gpu);
  const candidates = [];
  for (const [name, m, k, n, form] of problems) {
    const a = new Variable(form === 'tn' ? [k, m] : [m, k], noise(m * k));
    const b = new Variable(form === 'nt' ? [n, k] : [k, n], noise(k * n));
    const result = new Variable([m, n]);
    const product = matmul(form === 'tn' ? transpose(a) : a, form === 'nt' ? transpose(b) : b);
    const program = await runtime.compile({ updates: [[result, product]] });
    candidates.push({
      name,
      run: async () => {
        await program.run();
        await gpu.idle();
      },
    });
  }
  const timings = await interleave(candidates, rounds);
  return problems.map(([name, m, k, n, form]) => {
    const { median } = timings.get(name)!;
    return {
      group: 'matmul',
      name,
      form,
      milliseconds: median,
      gflops: (2 * m * k * n) / median / 1e6,
      rounds,
    };
  });
}
