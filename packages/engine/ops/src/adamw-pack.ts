import {
  type Attrs,
  applyOp,
  defineOp,
  type KernelFactory,
  narrow,
  type Op,
  reshape,
  ShapeError,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorSpec,
} from '@graftjs/tensor';
import { type AdamwOptions, adamwOp, adamwStep, adamwText, adamwWords } from './adamw.ts';
import { mostPacked, packKernel, packOf } from './pack-kernel.ts';

/** What belongs to one parameter, and its row of the `steps` tensor. */
export interface AdamwPart {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly step: number;
}

/** The inputs by what they are: params, grads, first moments, second moments, steps, and what may be left out. */
function take<T extends TensorSpec>(inputs: readonly T[], { count }: Attrs) {
  const n = count as number;
  const [params, grads, ms, vs] = [0, 1, 2, 3].map((k) => inputs.slice(k * n, (k + 1) * n));
  const rest = inputs.slice(4 * n + 1);
  const scale = rest.find((t) => t.dtype === 'f32');
  const when = rest.find((t) => t.dtype === 'bool');
  return { params: params!, grads: grads!, ms: ms!, vs: vs!, steps: inputs[4 * n]!, scale, when };
}

const kernel: KernelFactory = ({ inputs, attrs }, traits) => {
  const { params, steps, scale, when } = take(inputs, attrs);
  const n = params.length;
  const shapes = params.map((t) => t.shape);
  const elements = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  if (inputs.slice(0, 4 * n + 1).some((t) => t.dtype !== 'f32' || sizeOf(t.shape) === 0)) return undefined;
  if (n > mostPacked || 4 * elements + 256 * n > traits.maxBindingSize) return undefined;
  const dispatch = packKernel(
    {
      label: 'adamw',
      shapes,
      tags: attrs.steps as readonly number[],
      buffers: [
        ['param', 'vec4<f32>', packOf('output', 0, n)],
        ['m', 'vec4<f32>', packOf('output', n, n)],
        ['v', 'vec4<f32>', packOf('output', 2 * n, n)],
        ['grad', 'vec4<f32>', packOf('input', n, n)],
        ['steps', `array<f32, ${steps.shape[1]!}>`, { input: 4 * n }],
        ...(scale ? [['scale', 'f32', { input: inputs.indexOf(scale) }] as const] : []),
        ...(when ? [['when', 'u32', { input: inputs.indexOf(when) }] as const] : []),
      ],
      words: adamwWords(attrs),
      flops: 16 * elements,
      body: adamwText('steps[tag]', scale !== undefined, when !== undefined),
    },
    traits,
  );
  const inPlace = [0, 2, 3].flatMap((input, k) =>
    shapes.map((_, i) => ({ output: k * n + i, input: input * n + i })),
  );
  return { dispatches: [dispatch], inPlace };
};

/** {@link adamwPack}. `attrs.count` is that of the parameters, `attrs.steps` has the row of `steps` of each. */
export const adamwPackOp: Op = defineOp({
  name: 'adamwPack',
  infer: (inputs, attrs) => {
    const { params, ms, vs } = take(inputs, attrs);
    return [...params, ...ms, ...vs];
  },
  decompose: (inputs, attrs) => {
    const { params, grads, ms, vs, steps, scale, when } = take(inputs, attrs);
    const extra = [scale, when].filter((t) => t !== undefined);
    const next = params.map((param, i) => {
      const step = reshape(narrow(steps, 0, (attrs.steps as readonly number[])[i]!, 1), [adamwStep.length]);
      return adamwOp.decompose!([param, grads[i]!, ms[i]!, vs[i]!, step, ...extra], attrs);
    });
    return [0, 1, 2].flatMap((k) => next.map((values) => values[k]!));
  },
  kernel,
});

/**
 * `adamw` of many parameters at once, in one dispatch: no two tensors may be the same. `steps`: f32 `[n, 4]`, rows of
 * `adamwStepValues`, of which each part names one; `gradScale` and `when` as there. Gives the next param, m and v of
 * each part.
 * @throws ShapeError
 */
export function adamwPack(
  parts: readonly AdamwPart[],
  steps: Tensor,
  options: AdamwOptions & { readonly gradScale?: Tensor; readonly when?: Tensor },
): (readonly [Tensor, Tensor, Tensor])[] {
  const { beta1, beta2, eps, gradScale, when } = options;
  for (const { param, ...others } of parts)
    if ([others.grad, others.m, others.v].some((t) => !sameShape(t.shape, param.shape)))
      throw new ShapeError(
        'adamwPack',
        [param, others.grad, others.m, others.v].map((t) => t.shape),
        'needs four equal shapes for each parameter',
      );
  if (steps.rank !== 2 || steps.shape[1] !== adamwStep.length)
    throw new ShapeError('adamwPack', [steps.shape], `needs steps [n, ${adamwStep.length}]`);
  const of = (field: 'param' | 'grad' | 'm' | 'v'): Tensor[] => parts.map((part) => part[field]);
  const extra = [gradScale, when].filter((t) => t !== undefined);
  const n = parts.length;
  const next = applyOp(
    adamwPackOp,
    [...of('param'), ...of('grad'), ...of('m'), ...of('v'), steps, ...extra],
    {
      ...{ beta1, beta2, eps },
      count: n,
      steps: parts.map(({ step }) => step),
    },
  );
  return parts.map((_, i) => [next[i]!, next[n + i]!, next[2 * n + i]!]);
}
