import { narrowToHalves, widenHalves } from '@graftjs/tensor';
import type { Gpu, GpuBuffer } from '@graftjs/webgpu';
import { prepare } from './prepared.ts';
import type { MatmulDType, MatmulKernel, MatmulOperand, MatmulProblem } from './problem.ts';

/** What the tests share: problems with operands laid out in memory, their product in float64, and running kernels. */
export interface Case {
  readonly name: string;
  readonly problem: MatmulProblem;
  /** Memory of the operands; NaN wherever no element lies. */
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** Which axis of an operand is contiguous: N = as it is written, T = stored transposed. */
export type Layout = 'N' | 'T';

export interface CaseOptions {
  readonly batch?: readonly [number, number];
  /** Elements before the operands. */
  readonly offset?: number;
  /** Elements after each row in memory. */
  readonly padding?: number;
  /** B is the same for all of the inner batch axis, as keys are for grouped queries. */
  readonly sharedB?: boolean;
  /** The inner batch axis lies between a matrix' rows, as heads lie in `[batch, tokens, heads, headDim]`. */
  readonly interleaved?: boolean;
  /** How A, B and the result are stored; f32 where left out. */
  readonly dtypes?: readonly [MatmulDType, MatmulDType, MatmulDType];
}

let state = 12345;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
};

/** A case with values between -1 and 1. `form` is the layout of A, then of B. */
export function makeCase(
  form: string,
  [m, k, n]: readonly [number, number, number],
  options: CaseOptions = {},
): Case {
  const { batch = [1, 1], offset = 0, padding = 0, sharedB = false, interleaved = false } = options;
  const [aType, bType, c] = options.dtypes ?? ['f32', 'f32', 'f32'];
  const place = (
    dtype: MatmulDType,
    layout: Layout,
    rows: number,
    columns: number,
    shared: boolean,
  ): MatmulOperand => {
    const [lines, length] = layout === 'N' ? [rows, columns] : [columns, rows];
    const width = length + padding;
    const z1 = shared ? 0 : interleaved ? width : lines * width;
    const stride = interleaved && !shared ? batch[1] * width : width;
    const z0 = shared ? lines * width : batch[1] * lines * width;
    return {
      dtype,
      offset,
      batch: [z0, z1],
      rowStride: layout === 'N' ? stride : 1,
      colStride: layout === 'N' ? 1 : stride,
    };
  };
  const a = place(aType, form[0] as Layout, m, k, false);
  const b = place(bType, form[1] as Layout, k, n, sharedB);
  const problem: MatmulProblem = { m, n, k, batch, a, b, c };
  return {
    name: `${form} ${m}x${k}x${n}${batch[0] * batch[1] > 1 ? ` batch ${batch.join('x')}` : ''}`,
    problem,
    a: fill(a, m, k, batch),
    b: fill(b, k, n, batch),
  };
}

const at = (o: MatmulOperand, z0: number, z1: number, row: number, column: number): number =>
  o.offset + z0 * o.batch[0] + z1 * o.batch[1] + row * o.rowStride + column * o.colStride;

function fill(o: MatmulOperand, rows: number, columns: number, [b0, b1]: readonly [number, number]) {
  const last = at(o, b0 - 1, b1 - 1, rows - 1, columns - 1);
  const data = new Float32Array(Math.ceil((last + 5) / 4) * 4).fill(Number.NaN);
  for (let z0 = 0; z0 < b0; z0++)
    for (let z1 = 0; z1 < b1; z1++)
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[at(o, z0, z1, i, j)] = random();
  return o.dtype === 'f32' ? data : widenHalves(o.dtype, narrowToHalves(o.dtype, data));
}

/** The product in float64. */
export function product({ problem, a, b }: Case): Float64Array {
  const { m, n, k, batch } = problem;
  const c = new Float64Array(batch[0] * batch[1] * m * n);
  let result = 0;
  for (let z0 = 0; z0 < batch[0]; z0++)
    for (let z1 = 0; z1 < batch[1]; z1++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let x = 0; x < k; x++)
            sum += a[at(problem.a, z0, z1, i, x)]! * b[at(problem.b, z0, z1, x, j)]!;
          c[result++] = sum;
        }
  return c;
}

/** Elements of the result buffer beyond the result; they are NaN and must stay so. */
const MARGIN = 64;

/** Operands and result on the device. `run` gives the result and fails if anything beyond it was written. */
export function upload(gpu: Gpu, { problem, a, b }: Case, extras: readonly Float32Array[] = []) {
  const results = problem.batch[0] * problem.batch[1] * problem.m * problem.n;
  const poison = new Float32Array(results + MARGIN).fill(Number.NaN);
  const c = bufferOf(gpu, stored(poison, problem.c));
  const operands = [bufferOf(gpu, stored(a, problem.a.dtype)), bufferOf(gpu, stored(b, problem.b.dtype))];
  const others = extras.map((data) => bufferOf(gpu, data));
  return {
    async run(kernel: MatmulKernel): Promise<Float32Array> {
      gpu.write(c, 0, stored(poison, problem.c));
      const prepared = await prepare(gpu, kernel, operands, c, others);
      prepared.run();
      const bytes = await gpu.read(c, 0, stored(poison, problem.c).byteLength);
      const out =
        problem.c === 'f32' ? new Float32Array(bytes) : widenHalves(problem.c, new Uint16Array(bytes));
      prepared.release();
      if (!out.subarray(results).every(Number.isNaN))
        throw new Error(`${kernel.label} wrote past the end of its result`);
      return out.subarray(0, results);
    },
    release(): void {
      for (const buffer of [...operands, ...others, c]) gpu.buffers.release(buffer);
    },
  };
}

const stored = (data: Float32Array, dtype: MatmulDType): Float32Array | Uint16Array =>
  dtype === 'f32' ? data : narrowToHalves(dtype, data);

export function bufferOf(gpu: Gpu, data: Float32Array | Uint16Array): GpuBuffer {
  const buffer = gpu.buffers.create(data.byteLength, 'data');
  gpu.write(buffer, 0, data);
  return buffer;
}
