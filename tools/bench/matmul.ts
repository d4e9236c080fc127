import { Runtime } from '@graftjs/compiler';
import { matmul, transpose, Variable } from '@graftjs/tensor';
import { noise } from './alone.ts';
import type { Bench } from './bench.ts';
import { compare, distance, peerColumns, type Task } from './compare.ts';
import { timed } from './measure.ts';
import type { Row } from './report.ts';

/** `[m, k] x [k, n]`; `nt`: the second operand stored `[n, k]`; `tn`: the first stored `[k, m]`. */
interface Problem {
  readonly name: string;
  readonly batch?: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly form: 'nn' | 'nt' | 'tn';
}

const problems: readonly Problem[] = [
  { name: 'square 512', m: 512, k: 512, n: 512, form: 'nn' },
  { name: 'projection 1024x768x768', m: 1024, k: 768, n: 768, form: 'nt' },
  { name: 'its gradient', m: 1024, k: 768, n: 768, form: 'nn' },
  { name: 'feed-forward 1024x768x3072', m: 1024, k: 768, n: 3072, form: 'nt' },
  { name: 'weight gradient 768x1024x768', m: 768, k: 1024, n: 768, form: 'tn' },
  { name: 'decode 8x768x768', m: 8, k: 768, n: 768, form: 'nt' },
  { name: 'decode 8x768x3072', m: 8, k: 768, n: 3072, form: 'nt' },
  { name: 'LoRA down 1024x768x8', m: 1024, k: 768, n: 8, form: 'nt' },
  { name: 'LoRA up 1024x8x768', m: 1024, k: 8, n: 768, form: 'nt' },
  { name: 'LoRA gradient 8x1024x768', m: 8, k: 1024, n: 768, form: 'tn' },
  { name: 'scores of 4x12 heads, 128 tokens', batch: 48, m: 128, k: 64, n: 128, form: 'nt' },
  { name: 'mixing of 4x12 heads, 128 tokens', batch: 48, m: 128, k: 128, n: 64, form: 'nn' },
  { name: 'scores of 4x12 heads, 512 tokens', batch: 48, m: 512, k: 64, n: 512, form: 'nt' },
  { name: 'mixing of 4x12 heads, 512 tokens', batch: 48, m: 512, k: 512, n: 64, form: 'nn' },
];

/** Of f32 sums in any order, as a fraction of the largest result. */
const tolerance = 1e-5;

/** Matrix products of a small transformer's step: milliseconds and GFLOP/s. */
export async function benchMatmul({ gpu, rounds, peers }: Bench): Promise<Row[]> {
  const runtime = new Runtime(gpu);
  const rows: Row[] = [];
  for (const problem of problems) {
    const { name, batch = 1, m, k, n, form } = problem;
    const [aValues, bValues] = [noise(batch * m * k, 1), noise(batch * k * n, 2)];
    const stack = (shape: readonly number[]): readonly number[] => (batch > 1 ? [batch, ...shape] : shape);
    const a = new Variable(stack(form === 'tn' ? [k, m] : [m, k]), aValues);
    const b = new Variable(stack(form === 'nt' ? [n, k] : [k, n]), bValues);
    const result = new Variable(stack([m, n]));
    const product = matmul(form === 'tn' ? transpose(a) : a, form === 'nt' ? transpose(b) : b);
    const program = await runtime.compile({ updates: [[result, product]] });
    const task: Task = {
      name,
      kind: 'product',
      input: { a: aValues, b: bValues, batch, m, k, n, form },
      tolerance,
      run: (times) =>
        timed(async () => {
          for (let i = 0; i < times; i++) void program.run();
          await gpu.idle();
        }),
      values: async () => {
        await program.run();
        const values = await runtime.read(result);
        check(problem, aValues, bValues, values);
        return values;
      },
    };
    const flops = 2 * batch * m * k * n;
    const comparison = await compare(task, peers, rounds);
    rows.push({
      group: 'matmul',
      name,
      form,
      milliseconds: comparison.own.median,
      gflops: flops / comparison.own.median / 1e6,
      ...peerColumns(comparison, ({ median }) => flops / median / 1e6),
      rounds,
    });
    for (const variable of [a, b, result]) runtime.release(variable);
  }
  return rows;
}

/** Some elements against sums in float64. */
function check(
  { name, batch = 1, m, k, n, form }: Problem,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  values: ArrayLike<number>,
): void {
  const places = Array.from(
    { length: 500 },
    (_, i) => (i * 7919 + (i % 2) * (batch * m * n - 1)) % (batch * m * n),
  );
  const exact = places.map((place) => {
    const [z, row, column] = [Math.floor(place / (m * n)), Math.floor(place / n) % m, place % n];
    let sum = 0;
    for (let i = 0; i < k; i++)
      sum +=
        a[z * m * k + (form === 'tn' ? i * m + row : row * k + i)]! *
        b[z * k * n + (form === 'nt' ? column * k + i : i * n + column)]!;
    return sum;
  });
  const apart = distance(
    exact,
    places.map((place) => values[place]!),
  );
  if (!(apart <= tolerance)) throw new Error(`${name}: off by ${apart}`);
}
