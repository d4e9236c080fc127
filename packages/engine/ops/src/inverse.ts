import {
  applyOp,
  cast,
  defineOp,
  equal,
  iota,
  type KernelFactory,
  matmul,
  mul,
  narrow,
  neg,
  type Op,
  reciprocal,
  ShapeError,
  sizeOf,
  sub,
  type Tensor,
  transpose,
  where,
} from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock } from './kernel-text.ts';

/** One step of the elimination: row and column k change places with those of the inverse. */
function eliminate(x: Tensor, k: number): Tensor {
  const n = x.shape.at(-1)!;
  const row = narrow(x, -2, k, 1);
  const column = narrow(x, -1, k, 1);
  const scale = reciprocal(narrow(row, -1, k, 1));
  const inRow = equal(iota([n, 1], 0), k);
  const inColumn = equal(iota([1, n], 1), k);
  const scaled = mul(row, scale);
  return where(
    inRow,
    where(inColumn, scale, scaled),
    where(inColumn, neg(mul(column, scale)), sub(x, mul(column, scaled))),
  );
}

/**
 * The elimination in place, in the output's memory. On the processor's adapters, where barriers are slow, one
 * invocation for a matrix; else a workgroup.
 */
const kernel: KernelFactory = ({ inputs: [x] }, traits) => {
  if (x!.dtype !== 'f32') return undefined;
  const n = x!.shape.at(-1)!;
  const count = sizeOf(x!.shape) / (n * n);
  const lanes = traits.isCpu ? 1 : Math.min(n <= 8 ? 32 : 256, traits.maxInvocations);
  const workgroup = lanes === 1 ? 64 : lanes;
  const buffers: NamedBuffer[] = [
    ['x', 'f32', { input: 0 }],
    ['y', 'f32', { output: 0 }],
  ];
  const params = uniformBlock(buffers.length, [
    ['count', 'u32', count],
    ['n', 'u32', n],
  ]);
  const barrier = lanes === 1 ? '' : 'storageBarrier();';
  const place =
    lanes === 1
      ? `let matrix = group * ${workgroup}u + thread;\n  let lane = 0u;`
      : 'let matrix = group;\n  let lane = thread;';
  const body = `  ${place}
  if (matrix >= p.count) { return; }
  let n = p.n;
  let base = matrix * n * n;
  for (var t = lane; t < n * n; t += ${lanes}u) { y[base + t] = x[base + t]; }
  ${barrier}
  for (var k = 0u; k < n; k++) {
    let scale = 1.0 / y[base + k * n + k];
    for (var t = lane; t < n * n; t += ${lanes}u) {
      let i = t / n;
      let j = t % n;
      if (i != k && j != k) { y[base + t] -= y[base + i * n + k] * (y[base + k * n + j] * scale); }
    }
    ${barrier}
    for (var t = lane; t < n; t += ${lanes}u) {
      if (t == k) {
        y[base + k * n + k] = scale;
      } else {
        y[base + k * n + t] *= scale;
        y[base + t * n + k] *= -scale;
      }
    }
    ${barrier}
  }`;
  const wgsl = [storageBuffers(buffers), params.text, entry(workgroup, body, 'thread')].join('\n');
  const dispatch = {
    label: 'inverse',
    wgsl,
    bindings: buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(lanes === 1 ? Math.ceil(count / workgroup) : count, traits),
    flops: 2 * count * n ** 3,
  };
  return { dispatches: [dispatch] };
};

export const inverseOp: Op = defineOp({
  name: 'inverse',
  infer: ([x]) => [x!],
  decompose: ([x]) => {
    let result = cast(x!, 'f32');
    for (let k = 0; k < x!.shape.at(-1)!; k++) result = eliminate(result, k);
    return [cast(result, x!.dtype)];
  },
  vjp: ({ outputs: [y], cotangents: [dy] }) => {
    const turned = transpose(cast(y!, 'f32'));
    return [cast(neg(matmul(matmul(turned, cast(dy!, 'f32')), turned)), dy!.dtype)];
  },
  kernel,
});

/**
 * Inverses of the matrices `x` `[..., n, n]`, computed in f32, by Gauss-Jordan elimination without exchange of rows: for matrices
 * that need none, as I + Q with Q antisymmetric, positive definite ones, and those whose diagonals dominate. For many
 * small matrices: each is one invocation's or one workgroup's work.
 * @throws ShapeError where the last two axes differ
 */
export function inverse(x: Tensor): Tensor {
  if (x.rank < 2 || x.shape.at(-1) !== x.shape.at(-2))
    throw new ShapeError('inverse', [x.shape], 'needs square matrices in the last two axes');
  return applyOp(inverseOp, [x])[0]!;
}
