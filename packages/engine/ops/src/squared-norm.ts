import {
  add,
  applyOp,
  cast,
  defineOp,
  type KernelFactory,
  mul,
  type Op,
  sizeOf,
  sum,
  type Tensor,
  zeros,
} from '@graftjs/tensor';
import { entry, storageBuffers, uniformBlock } from './kernel-text.ts';
import { mostPacked, packInvocations, packKernel, packOf } from './pack-kernel.ts';

const perLane = 8;
const joining = 64;

/** A partial sum an invocation, then one workgroup that adds them up, in an order that is always the same. */
const kernel: KernelFactory = ({ inputs }, traits) => {
  const shapes = inputs.map((t) => t.shape);
  const sizes = shapes.map(sizeOf);
  if (inputs.some((t) => t.dtype !== 'f32') || sizes.some((n) => n === 0) || sizes.length > mostPacked)
    return undefined;
  const elements = sizes.reduce((a, b) => a + b, 0);
  if (4 * elements + 256 * sizes.length > traits.maxBindingSize) return undefined;
  const partials = packInvocations(shapes, perLane);
  const squares = packKernel(
    {
      label: 'squared norm',
      shapes,
      perLane,
      buffers: [
        ['x', 'vec4<f32>', packOf('input', 0, shapes.length)],
        ['partials', 'f32', { scratch: 0 }],
      ],
      flops: 2 * elements,
      before: '  var total = 0.0;',
      body: `    let own = select(vec4<f32>(), x[i], vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(left));
    total += dot(own, own);`,
      after: `  partials[group * 64u + lane] = total;`,
    },
    traits,
  );
  const params = uniformBlock(2, [['count', 'u32', partials]]);
  const join = {
    label: 'squared norm join',
    wgsl: [
      storageBuffers([
        ['partials', 'f32', { scratch: 0 }],
        ['result', 'f32', { output: 0 }],
      ]),
      params.text,
      `var<workgroup> sums: array<f32, ${joining}>;`,
      entry(
        joining,
        `  var total = 0.0;
  for (var i = lane; i < p.count; i += ${joining}u) { total += partials[i]; }
  sums[lane] = total;
  workgroupBarrier();
  for (var half = ${joining / 2}u; half > 0u; half = half / 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  if (lane == 0u) { result[0] = sums[0]; }`,
      ),
    ].join('\n'),
    bindings: [{ scratch: 0 }, { output: 0 }],
    params: params.data,
    workgroups: [1, 1, 1] as const,
    flops: partials,
  };
  return { dispatches: [squares, join], scratch: [{ shape: [partials], dtype: 'f32' }] };
};

const sumOfSquares = (t: Tensor): Tensor => {
  const x = cast(t, 'f32');
  return sum(mul(x, x));
};

export const squaredNormOp: Op = defineOp({
  name: 'squaredNorm',
  infer: () => [{ shape: [], dtype: 'f32' }],
  decompose: (tensors) => [tensors.map(sumOfSquares).reduce(add, zeros([]))],
  kernel,
});

/** The sum of the squares of all elements of all tensors (f32, no two of them the same): an f32 scalar. */
export const squaredNorm = (tensors: readonly Tensor[]): Tensor =>
  tensors.length === 0 ? zeros([]) : applyOp(squaredNormOp, tensors)[0]!;
