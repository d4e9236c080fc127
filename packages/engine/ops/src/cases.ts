import { type Attrs, type DType, type HostArray, type Op, type Shape, sizeOf } from '@graftjs/tensor';
import { adamwOp, adamwStepValues } from './adamw.ts';
import { adamwPackOp } from './adamw-pack.ts';
import { argmaxOp } from './argmax.ts';
import { attentionOp } from './attention/attention.ts';
import { cacheWriteOp } from './cache-write.ts';
import { crossEntropyOp } from './cross-entropy.ts';
import { dropoutOp } from './dropout.ts';
import { inverseOp } from './inverse.ts';
import { isFiniteOp } from './is-finite.ts';
import { layerNormGradientOp, layerNormOp } from './layer-norm.ts';
import { linearCrossEntropyOp } from './linear-cross-entropy.ts';
import { addPackOp, zerosPackOp } from './pack-sums.ts';
import { blockOf, dequantizeOp } from './quantized/dequantize.ts';
import { type QuantizedFormat, quantizedForms, quantizedLayout } from './quantized/formats.ts';
import { rmsNormGradientOp, rmsNormOp } from './rms-norm.ts';
import { rotaryOp } from './rotary.ts';
import { softmaxOp } from './softmax.ts';
import { squaredNormOp } from './squared-norm.ts';

export interface OpCaseInput {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: HostArray;
}

/** An operation with operands to try it on: shapes that divide into nothing, and degenerate ones. */
export interface OpCase {
  readonly name: string;
  readonly op: Op;
  readonly inputs: () => readonly OpCaseInput[];
  readonly attrs: Attrs;
  /** Inputs to differentiate the first output by. */
  readonly wrt: readonly number[];
  /** Long kernels: try only the form for the adapter at hand (llvmpipe takes half a minute to compile the others). */
  readonly long?: boolean;
}

/** Values in (-2, 2) that look random and are the same everywhere. */
function f32(shape: Shape, salt = 1): OpCaseInput {
  let state = (salt * 0x9e3779b9) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 30 - 2;
  };
  next();
  return { shape, dtype: 'f32', data: Float32Array.from({ length: sizeOf(shape) }, next) };
}

const map = (x: OpCaseInput, f: (v: number) => number): OpCaseInput => ({
  ...x,
  data: Float32Array.from(x.data, f),
});

const i32 = (shape: Shape, data: readonly number[]): OpCaseInput => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from(data),
});

const softmaxCases = [
  [1, 1],
  [3, 1],
  [1, 7],
  [2, 3, 8],
  [5, 63],
  [65, 64],
  [3, 257],
  [2, 1028],
  [130, 12],
].map(
  (shape): OpCase => ({
    name: `softmax ${shape.join('x')}`,
    op: softmaxOp,
    inputs: () => [map(f32(shape), (v) => 20 * v)],
    attrs: { axis: shape.length - 1 },
    wrt: [0],
  }),
);

const rmsNormCases = [
  [1, 1],
  [1, 4],
  [3, 7],
  [2, 3, 64],
  [67, 32],
  [2, 2052],
  [5, 257],
].flatMap((shape) =>
  (shape[0] === 3 ? [0, 1] : [0]).map(
    (weightOffset): OpCase => ({
      name: `rmsNorm ${shape.join('x')}${weightOffset ? ', weights from 1 on' : ''}`,
      op: rmsNormOp,
      inputs: () => [f32(shape), f32([shape.at(-1)!], 2)],
      // one element is normalised to its sign: only a large eps leaves a gradient to compare
      attrs: { eps: shape.at(-1) === 1 ? 1 : 1e-5, weightOffset },
      wrt: [0, 1],
    }),
  ),
);

/** The gradient of a norm's input with what arrives past the norm. */
const normAddendCases = [
  [3, 7],
  [67, 32],
].flatMap((shape): OpCase[] => {
  const [x, weight, dy, addend] = [f32(shape), f32([shape.at(-1)!], 2), f32(shape, 3), f32(shape, 4)];
  const common = { wrt: [0, 2, 3], inputs: () => [x, weight, dy, addend] };
  const attrs = { eps: 1e-5, wrt: [0], outputs: 1, addend: true };
  return [
    {
      ...common,
      name: `rmsNormGradient ${shape.join('x')} with an addend`,
      op: rmsNormGradientOp,
      attrs: { ...attrs, weightOffset: 0 },
    },
    {
      ...common,
      name: `layerNormGradient ${shape.join('x')} with an addend`,
      op: layerNormGradientOp,
      attrs: { ...attrs, hasWeight: true, hasBias: false },
    },
  ];
});

const layerNormCases = [
  [1, 1],
  [1, 4],
  [3, 7],
  [2, 3, 64],
  [67, 32],
  [2, 2052],
  [5, 257],
].flatMap((shape) =>
  (shape[0] === 3 ? ['plain', 'weighted', 'biased', 'weighted and biased'] : ['weighted and biased']).map(
    (kind): OpCase => {
      const [hasWeight, hasBias] = [kind.includes('weighted'), kind.includes('biased')];
      const wrt = [0, 1, 2].slice(0, 1 + Number(hasWeight) + Number(hasBias));
      return {
        name: `layerNorm ${shape.join('x')}, ${kind}`,
        op: layerNormOp,
        // far from zero, where a variance as a difference of squares would be lost
        inputs: () => [
          map(f32(shape), (v) => v + 10),
          ...wrt.slice(1).map((i) => f32([shape.at(-1)!], i + 1)),
        ],
        attrs: { eps: 1e-5, hasWeight, hasBias },
        wrt,
      };
    },
  ),
);

const rotaryCases = [
  [1, 1, 1, 2, 0],
  [2, 3, 5, 8, 0],
  [2, 3, 5, 6, 1],
  [3, 2, 7, 32, 1],
].map(
  ([b, h, t, d, perBatch]): OpCase => ({
    name: `rotary ${b}x${h}x${t}x${d}${perBatch ? ', tables of each sequence' : ''}`,
    op: rotaryOp,
    inputs: () => {
      const table = perBatch ? [b!, t!, d! / 2] : [t!, d! / 2];
      const angles = f32(table, 2);
      return [f32([b!, h!, t!, d!]), map(angles, Math.cos), map(angles, Math.sin)];
    },
    attrs: {},
    wrt: [0],
  }),
);

interface AttentionShape {
  readonly b: number;
  readonly h: number;
  readonly kv: number;
  readonly tq: number;
  readonly tk: number;
  readonly d: number;
  /** Sequences of the bias: 1 or b. */
  readonly bias?: number;
  readonly softcap?: number;
  readonly causal?: boolean;
  readonly window?: number;
  readonly offset?: readonly number[];
  readonly keyMask?: (batch: number, key: number) => boolean;
  /** Lengths of each sequence's segments; queries after them belong to none. */
  readonly segments?: readonly (readonly number[])[];
  readonly prefix?: number;
  readonly dropout?: number;
}

/** `[b, tq, 2]`: where each query's segment begins and ends, after a prefix. */
const segmentBounds = (lengths: readonly (readonly number[])[], tq: number, prefix: number): number[] =>
  lengths.flatMap((row) => {
    let end = prefix;
    const bounds = row.flatMap((length) => {
      const begin = end;
      end += length;
      return Array.from({ length }, () => [begin, end]);
    });
    return [...bounds, ...Array.from({ length: tq - bounds.length }, () => [end, end])].flat();
  });

function attentionCase(label: string, s: AttentionShape): OpCase {
  const { b, h, kv, tq, tk, d, bias, offset, keyMask, segments, prefix = 0, dropout = 0 } = s;
  return {
    name: `attention ${b}x${h}/${kv}x${tq}x${tk}x${d} ${label}`,
    op: attentionOp,
    inputs: () => [
      f32([b, h, tq, d]),
      f32([b, kv, tk, d], 2),
      f32([b, kv, tk, d], 3),
      ...(bias ? [f32([bias, h, tq, tk], 4)] : []),
      ...(offset ? [i32(offset.length === 1 ? [] : [b], offset)] : []),
      ...(keyMask
        ? [
            i32(
              [b, tk],
              Array.from({ length: b * tk }, (_, i) => (keyMask(Math.floor(i / tk), i % tk) ? 1 : 0)),
            ),
          ]
        : []),
      ...(segments ? [i32([b, tq, 2], segmentBounds(segments, tq, prefix))] : []),
      ...(dropout > 0 ? [{ shape: [2], dtype: 'u32', data: Uint32Array.of(11, 5) } as const] : []),
    ],
    attrs: {
      scale: 1 / Math.sqrt(d),
      softcap: s.softcap ?? 0,
      causal: s.causal ?? false,
      window: s.window ?? 0,
      hasBias: bias !== undefined,
      hasOffset: offset !== undefined,
      hasKeyMask: keyMask !== undefined,
      hasSegments: segments !== undefined,
      prefix,
      ...(dropout > 0 ? { dropout, stream: 3 } : {}),
    },
    wrt: bias ? [0, 1, 2, 3] : [0, 1, 2],
    ...(d > 16 ? { long: true } : {}),
  };
}

const attentionCases = [
  attentionCase('dropout', { b: 2, h: 4, kv: 2, tq: 5, tk: 7, d: 8, causal: true, dropout: 0.3 }),
  attentionCase('one of each', { b: 1, h: 1, kv: 1, tq: 1, tk: 1, d: 4 }),
  attentionCase('all seen', { b: 2, h: 2, kv: 2, tq: 9, tk: 7, d: 8 }),
  attentionCase('causal', { b: 2, h: 4, kv: 2, tq: 17, tk: 17, d: 32, causal: true }),
  attentionCase('causal, a head dimension of no vectors', {
    b: 1,
    h: 2,
    kv: 1,
    tq: 5,
    tk: 5,
    d: 6,
    causal: true,
  }),
  attentionCase('causal after a cache', { b: 1, h: 6, kv: 2, tq: 3, tk: 19, d: 12, causal: true }),
  attentionCase('one query after a cache', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 1,
    tk: 37,
    d: 8,
    causal: true,
    offset: [20],
  }),
  attentionCase('windowed', { b: 1, h: 2, kv: 1, tq: 33, tk: 33, d: 8, causal: true, window: 5 }),
  attentionCase('offset of each sequence', {
    b: 3,
    h: 2,
    kv: 1,
    tq: 9,
    tk: 25,
    d: 8,
    causal: true,
    offset: [0, 16, 7],
  }),
  attentionCase('key mask', {
    b: 2,
    h: 2,
    kv: 2,
    tq: 9,
    tk: 10,
    d: 20,
    keyMask: (batch, key) => key < 10 - 3 * batch,
  }),
  attentionCase('left padding: rows that see no key', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 11,
    tk: 11,
    d: 12,
    causal: true,
    keyMask: (batch, key) => key >= 4 * batch,
  }),
  attentionCase('bias of all sequences', { b: 3, h: 4, kv: 2, tq: 35, tk: 18, d: 8, bias: 1 }),
  attentionCase('bias of each sequence, causal after a cache', {
    b: 2,
    h: 2,
    kv: 1,
    tq: 5,
    tk: 11,
    d: 4,
    bias: 2,
    causal: true,
    offset: [6, 2],
  }),
  attentionCase('bias and key mask', {
    b: 2,
    h: 2,
    kv: 2,
    tq: 9,
    tk: 10,
    d: 8,
    bias: 1,
    keyMask: (batch, key) => key < 10 - 3 * batch,
  }),
  attentionCase('dropout of long rows', {
    b: 1,
    h: 2,
    kv: 1,
    tq: 70,
    tk: 70,
    d: 4,
    causal: true,
    dropout: 0.2,
  }),
  attentionCase('dropout, key mask and segments', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 19,
    tk: 21,
    d: 8,
    causal: true,
    keyMask: (batch, key) => (key + batch) % 6 !== 0,
    segments: [
      [8, 11],
      [5, 9],
    ],
    prefix: 2,
    dropout: 0.1,
  }),
  attentionCase('bias and dropout', { b: 2, h: 2, kv: 2, tq: 9, tk: 6, d: 8, bias: 1, dropout: 0.3 }),
  attentionCase('bias, segments, a prefix and everything else', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 20,
    tk: 23,
    d: 4,
    bias: 2,
    causal: true,
    window: 6,
    offset: [3, 3],
    keyMask: (batch, key) => (key + batch) % 5 !== 0,
    segments: [
      [8, 3, 9],
      [1, 12, 4],
    ],
    prefix: 3,
  }),
  // scaled scores are up to ten times as large
  attentionCase('soft cap', { b: 2, h: 4, kv: 2, tq: 17, tk: 17, d: 8, causal: true, softcap: 0.75 }),
  attentionCase('soft cap, bias, segments, a prefix and everything else', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 20,
    tk: 23,
    d: 12,
    softcap: 2,
    bias: 1,
    causal: true,
    window: 6,
    offset: [3, 3],
    keyMask: (batch, key) => (key + batch) % 5 !== 0,
    segments: [
      [8, 3, 9],
      [1, 12, 4],
    ],
    prefix: 3,
  }),
  attentionCase('rows of 10 vectors', { b: 1, h: 2, kv: 1, tq: 13, tk: 21, d: 40, causal: true }),
  attentionCase('rows of 16 vectors', { b: 1, h: 3, kv: 1, tq: 19, tk: 9, d: 64, window: 3, causal: true }),
  attentionCase('everything at once', {
    b: 2,
    h: 4,
    kv: 1,
    tq: 65,
    tk: 70,
    d: 12,
    causal: true,
    window: 20,
    offset: [5, 2],
    keyMask: (batch, key) => (key + batch) % 3 !== 0,
  }),
  attentionCase('segments', {
    b: 2,
    h: 4,
    kv: 2,
    tq: 37,
    tk: 37,
    d: 8,
    causal: true,
    segments: [[5, 1, 16, 11], [37]],
  }),
  attentionCase('segments, all seen', {
    b: 2,
    h: 2,
    kv: 2,
    tq: 23,
    tk: 23,
    d: 12,
    segments: [
      [9, 14],
      [3, 3, 3],
    ],
  }),
  attentionCase('segments of rows of 16 vectors', {
    b: 1,
    h: 2,
    kv: 1,
    tq: 21,
    tk: 21,
    d: 64,
    causal: true,
    segments: [[8, 9]],
  }),
  attentionCase('segments after a prefix, all seen', {
    b: 1,
    h: 2,
    kv: 1,
    tq: 18,
    tk: 24,
    d: 4,
    segments: [[7, 9]],
    prefix: 6,
  }),
  attentionCase('segments, a prefix and everything else', {
    b: 2,
    h: 4,
    kv: 1,
    tq: 70,
    tk: 79,
    d: 12,
    causal: true,
    window: 13,
    offset: [5, 5],
    keyMask: (batch, key) => (key + batch) % 5 !== 0,
    segments: [
      [30, 3, 20, 17],
      [1, 40, 8],
    ],
    prefix: 5,
  }),
];

const crossEntropyCases = [
  [1, 1],
  [3, 5],
  [7, 32],
  [66, 12],
  [4, 257],
  [3, 2052],
].map(
  ([n, v]): OpCase => ({
    name: `crossEntropy ${n}x${v}`,
    op: crossEntropyOp,
    // labels in range, at both ends, ignored, and outside on both sides
    inputs: () => {
      const labels = [v! - 1, 0, -100, v!, -1, Math.floor(v! / 2)];
      return [
        map(f32([n!, v!]), (x) => 6 * x),
        i32(
          [n!],
          Array.from({ length: n! }, (_, i) => labels[i % labels.length]!),
        ),
      ];
    },
    attrs: { ignoreIndex: -100, first: 0 },
    wrt: [0],
  }),
);

const adamwOptions = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const adamwCases = [[1], [7], [3, 4], [129, 5]].flatMap((shape) =>
  [[], ['scaled'], ['scaled', 'held'], ['let']].map(
    (extras): OpCase => ({
      name: ['adamw', shape.join('x'), ...extras].join(' '),
      op: adamwOp,
      inputs: () => [
        f32(shape),
        f32(shape, 2),
        f32(shape, 3),
        map(f32(shape, 4), Math.abs),
        {
          shape: [4],
          dtype: 'f32',
          data: adamwStepValues({ lr: 1e-2, weightDecay: 0.1, step: 3 }, adamwOptions),
        },
        ...(extras.includes('scaled')
          ? [{ shape: [], dtype: 'f32', data: Float32Array.of(0.25) } as const]
          : []),
        ...(extras.includes('held') ? [{ shape: [], dtype: 'bool', data: Uint32Array.of(0) } as const] : []),
        ...(extras.includes('let') ? [{ shape: [], dtype: 'bool', data: Uint32Array.of(1) } as const] : []),
      ],
      attrs: adamwOptions,
      wrt: [],
    }),
  ),
);

/** Sizes around those of a chunk, of a group of four, and below one. */
const packs: readonly (readonly Shape[])[] = [
  [[1]],
  [[7], [3, 4], [], [129, 5]],
  [[256], [255], [257], [2049], [4]],
];

const adamwPackCases = packs.flatMap((shapes) =>
  [[], ['scaled', 'held'], ['scaled', 'let']].map((extras): OpCase => {
    const of = (salt: number): OpCaseInput[] => shapes.map((shape, i) => f32(shape, salt + 4 * i));
    const steps = [0.01, 0.03].flatMap((lr, i) => [
      ...adamwStepValues({ lr, weightDecay: i / 10, step: 3 }, adamwOptions),
    ]);
    return {
      name: ['adamwPack of', shapes.length, ...extras].join(' '),
      op: adamwPackOp,
      inputs: () => [
        ...of(1),
        ...of(2),
        ...of(3),
        ...of(4).map((x) => map(x, Math.abs)),
        { shape: [2, 4], dtype: 'f32', data: Float32Array.from(steps) },
        ...(extras.includes('scaled')
          ? [{ shape: [], dtype: 'f32', data: Float32Array.of(0.25) } as const]
          : []),
        ...(extras.length
          ? [{ shape: [], dtype: 'bool', data: Uint32Array.of(+extras.includes('let')) } as const]
          : []),
      ],
      attrs: { ...adamwOptions, count: shapes.length, steps: shapes.map((_, i) => i % 2) },
      wrt: [],
    };
  }),
);

const addPackCases = packs.map(
  (shapes): OpCase => ({
    name: `addPack of ${shapes.length}`,
    op: addPackOp,
    inputs: () => [1, 9].flatMap((salt) => shapes.map((shape, i) => f32(shape, salt + i))),
    attrs: {},
    wrt: [0, shapes.length],
  }),
);

const zerosPackCases = packs.map(
  (shapes): OpCase => ({
    name: `zerosPack of ${shapes.length}`,
    op: zerosPackOp,
    inputs: () => [],
    attrs: { shapes },
    wrt: [],
  }),
);

const squaredNormCases = packs.map(
  (shapes): OpCase => ({
    name: `squaredNorm of ${shapes.length}`,
    op: squaredNormOp,
    inputs: () => shapes.map((shape, i) => f32(shape, i + 1)),
    attrs: {},
    wrt: [0],
  }),
);

const isFiniteCases = [
  [Number.NaN],
  [1, Number.NaN, -3, Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 3.4e38, -3.4e38, 1e-45],
].map(
  (values): OpCase => ({
    name: `isFinite of ${values.length}`,
    op: isFiniteOp,
    inputs: () => [{ shape: [values.length], dtype: 'f32', data: Float32Array.from(values) }],
    attrs: {},
    wrt: [],
  }),
);

/** I and an antisymmetric matrix: no exchange of rows is needed. */
function nearRotations(count: number, n: number): OpCaseInput {
  const { data } = f32([count, n, n]);
  const size = 1 / (2 * Math.sqrt(n));
  const of = (matrix: number, i: number, j: number): number =>
    (i === j ? 1 : 0) +
    size * ((data[(matrix * n + i) * n + j] as number) - (data[(matrix * n + j) * n + i] as number));
  return {
    shape: [count, n, n],
    dtype: 'f32',
    data: Float32Array.from(data, (_, at) => of(Math.floor(at / (n * n)), Math.floor(at / n) % n, at % n)),
  };
}

const inverseCases = [
  [1, 1],
  [3, 2],
  [65, 4],
  [2, 7],
  [1, 17],
].map(
  ([count, n]): OpCase => ({
    name: `inverse of ${count} ${n}x${n}`,
    op: inverseOp,
    inputs: () => [nearRotations(count!, n!)],
    attrs: {},
    wrt: [0],
  }),
);

const cacheWriteCases = [
  [1, 1, 1, 1, 1, 0],
  [2, 3, 7, 2, 8, 4],
  [1, 2, 9, 5, 3, 6],
  [1, 2, 4, 2, 4, -1],
].map(
  ([b, h, rows, t, d, position]): OpCase => ({
    name: `cacheWrite ${t} of ${rows} rows at ${position}, ${b}x${h}, ${d} columns`,
    op: cacheWriteOp,
    inputs: () => [f32([b!, h!, rows!, d!]), f32([b!, h!, t!, d!], 2), i32([], [position!])],
    attrs: {},
    wrt: [0, 1],
  }),
);

const linearCrossEntropyCases = [
  { n: 1, d: 1, v: 1, rows: 1 },
  { n: 7, d: 5, v: 9, rows: 3 },
  { n: 5, d: 8, v: 36, rows: 128 },
].map(
  ({ n, d, v, rows }): OpCase => ({
    name: `linearCrossEntropy ${n}x${d}, ${v} classes, ${rows} rows at a time`,
    op: linearCrossEntropyOp,
    inputs: () => {
      const labels = [v - 1, 0, -100, v, -1, Math.floor(v / 2)];
      return [
        f32([n, d]),
        f32([v, d], 2),
        i32(
          [n],
          Array.from({ length: n }, (_, i) => labels[i % labels.length]!),
        ),
      ];
    },
    attrs: { ignoreIndex: -100, rows },
    wrt: [0, 1],
  }),
);

const dropoutCases = [[1], [5, 7], [64, 12]].map(
  (shape): OpCase => ({
    name: `dropout ${shape.join('x')}`,
    op: dropoutOp,
    inputs: () => [f32(shape), { shape: [2], dtype: 'u32', data: Uint32Array.of(17, 4) }],
    attrs: { p: 0.3, stream: 5 },
    wrt: [0],
  }),
);

const argmaxCases = [
  [1, 1],
  [4, 7],
  [3, 64],
  [2, 1000],
].map(
  (shape): OpCase => ({
    name: `argmax ${shape.join('x')}`,
    op: argmaxOp,
    // few distinct values: the first of several equals must win
    inputs: () => [map(f32(shape), (v) => Math.round(2 * v))],
    attrs: { axis: 1 },
    wrt: [],
  }),
);

/** Any bits are a quantized weight; factors are about 1. */
function quantizedCase(
  format: QuantizedFormat,
  shape: Shape,
  { nested = false, block }: { nested?: boolean; block?: number } = {},
): OpCase {
  const own = blockOf(format, shape, block);
  const { codeWords, scaleCount } = quantizedLayout(format, sizeOf(shape), own, nested);
  return {
    name: `dequantize ${format} ${shape.join('x')}${nested ? ', nested factors' : ''}${block ? `, blocks of ${block}` : ''}`,
    op: dequantizeOp,
    inputs: () => [
      {
        shape: [codeWords],
        dtype: 'u32',
        data: Uint32Array.from(f32([codeWords], 5).data, (v) => (v + 2) * 2 ** 30),
      },
      f32([scaleCount], 6),
      ...(nested ? [f32([256], 7)] : []),
    ],
    attrs: { format, shape: [...shape], block: own },
    wrt: [1],
  };
}

const dequantizeCases = [
  quantizedCase('nf4', [6, 128], { nested: true }),
  quantizedCase('nf4', [300, 64], { nested: true }),
  quantizedCase('nf4', [5, 7], { nested: true }),
  quantizedCase('nf4', [3, 50], { block: 32 }),
  quantizedCase('fp4', [4, 96], { block: 128 }),
  quantizedCase('int8', [5, 7]),
  quantizedCase('int8', [40, 100]),
  ...(Object.keys(quantizedForms) as QuantizedFormat[]).map((format) => quantizedCase(format, [3, 256])),
];

/** Cases of every operation here, for suites that hold kernels and gradients against the decomposition. */
export const opCases: readonly OpCase[] = [
  ...softmaxCases,
  ...rmsNormCases,
  ...normAddendCases,
  ...layerNormCases,
  ...rotaryCases,
  ...attentionCases,
  ...crossEntropyCases,
  ...linearCrossEntropyCases,
  ...adamwCases,
  ...adamwPackCases,
  ...squaredNormCases,
  ...addPackCases,
  ...zerosPackCases,
  ...inverseCases,
  ...isFiniteCases,
  ...cacheWriteCases,
  ...dropoutCases,
  ...argmaxCases,
  ...dequantizeCases,
];
