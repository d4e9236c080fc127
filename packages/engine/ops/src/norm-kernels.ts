import {
  type Attrs,
  type KernelDispatch,
  type KernelTraits,
  type Shape,
  sizeOf,
  type TensorSpec,
} from '@graftjs/tensor';
import type { NamedBuffer, Word } from './kernel-text.ts';
import { rowKernel } from './row-kernel.ts';

/** A normalization of rows: y = v scale (weight) (+ bias), v the row (less its mean), scale = 1 / sqrt(mean v² + eps). */
export interface RowNorm {
  readonly label: string;
  readonly shape: Shape;
  readonly eps: number;
  /** Whether the mean is taken off first. */
  readonly centered: boolean;
  /** Whether a weight, and a bias, follow x among the inputs. */
  readonly weighted: boolean;
  /** Added to the weight. Left out: nothing. */
  readonly weightOffset?: number;
  readonly biased: boolean;
}

/** Whether there are kernels for rows of `x`. */
export const hasNormKernel = (x: TensorSpec): boolean => x.dtype === 'f32' && sizeOf(x.shape.slice(-1)) > 0;

/** Whether a gradient operation is asked for the gradient of x alone, for which there is a kernel. */
export const isOfInput = ({ wrt }: Attrs): boolean =>
  (wrt as readonly number[]).length === 1 && (wrt as readonly number[])[0] === 0;

/** `v`, element i of the row as it is normalized. */
const value = ({ centered }: RowNorm): string => `let v = x[base + i]${centered ? ' - mean' : ''};`;

/** Where the mean is taken off, it is found first: a sum of squares less the mean's square would cancel. */
const findMean = ({ centered }: RowNorm): string =>
  centered
    ? `  var sums = Vec();
  for (var i = lane; i < p.steps; i += LANES) { sums += x[base + i]; }
  let mean = rowMean(sums, lane);`
    : '';

const declarations =
  'fn rowMean(x: Vec, lane: u32) -> f32 { return rowSum(total(x), lane) / f32(p.steps * WIDTH); }';

const weightOf = ({ weighted, weightOffset }: RowNorm): string =>
  weighted ? ` * ${weightOffset ? '(weight[i] + p.weightOffset)' : 'weight[i]'}` : '';
const wordsOf = ({ eps, weightOffset }: RowNorm): Word[] => [
  ['eps', 'f32', eps],
  ...(weightOffset ? [['weightOffset', 'f32', weightOffset] as const] : []),
];
const parameters = ({ weighted, biased }: RowNorm): NamedBuffer[] => [
  ...(weighted ? [['weight', 'Vec', { input: 1 }] as const] : []),
  ...(biased ? [['bias', 'Vec', { input: weighted ? 2 : 1 }] as const] : []),
];

const rowsOf = ({ shape }: RowNorm): { rows: number; columns: number } => {
  const columns = shape.at(-1)!;
  return { rows: sizeOf(shape) / columns, columns };
};

export const normKernel = (norm: RowNorm, traits: KernelTraits): KernelDispatch =>
  rowKernel(
    {
      label: norm.label,
      ...rowsOf(norm),
      buffers: [['x', 'Vec', { input: 0 }], ...parameters(norm), ['y', 'Vec', { output: 0 }]],
      words: wordsOf(norm),
      flops: (norm.centered ? 7 : 4) * sizeOf(norm.shape),
      declarations,
      body: `${findMean(norm)}
  var squares = Vec();
  for (var i = lane; i < p.steps; i += LANES) { ${value(norm)} squares += v * v; }
  let scale = inverseSqrt(rowMean(squares, lane) + p.eps);
  for (var i = lane; i < p.steps; i += LANES) {
    ${value(norm)}
    y[base + i] = v * scale${weightOf(norm)}${norm.biased ? ' + bias[i]' : ''};
  }`,
    },
    traits,
  );

/**
 * dx = scale (g - v scale² mean(g v)), with g = dy weight; where the mean was taken off, less its own mean, too. The
 * scale is found again as in {@link normKernel}. Input `dy` follows those of the forward kernel, and what is added to dx,
 * if anything, follows it.
 */
export const normGradientKernel = (
  norm: RowNorm,
  dy: number,
  hasAddend: boolean,
  traits: KernelTraits,
): KernelDispatch =>
  rowKernel(
    {
      label: `${norm.label}Gradient`,
      ...rowsOf(norm),
      buffers: [
        ['x', 'Vec', { input: 0 }],
        ...parameters({ ...norm, biased: false }),
        ['dy', 'Vec', { input: dy }],
        ...(hasAddend ? [['addend', 'Vec', { input: dy + 1 }] as const] : []),
        ['dx', 'Vec', { output: 0 }],
      ],
      words: wordsOf(norm),
      flops: (norm.centered ? 15 : 10) * sizeOf(norm.shape),
      declarations,
      body: `${findMean(norm)}
  var squares = Vec();
  var products = Vec();${norm.centered ? '\n  var slopes = Vec();' : ''}
  for (var i = lane; i < p.steps; i += LANES) {
    ${value(norm)}
    let g = dy[base + i]${weightOf(norm)};
    squares += v * v;
    products += v * g;${norm.centered ? '\n    slopes += g;' : ''}
  }
  let scale = inverseSqrt(rowMean(squares, lane) + p.eps);
  let tilt = rowMean(products, lane) * scale * scale;${norm.centered ? '\n  let level = rowMean(slopes, lane);' : ''}
  for (var i = lane; i < p.steps; i += LANES) {
    ${value(norm)}
    dx[base + i] = ${hasAddend ? 'addend[base + i] + ' : ''}scale * (dy[base + i]${weightOf(norm)} - tilt * v${norm.centered ? ' - level' : ''});
  }`,
    },
    traits,
  );
