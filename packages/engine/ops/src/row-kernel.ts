import type { KernelDispatch, KernelTraits } from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock, type Word } from './kernel-text.ts';

export interface RowKernel {
  readonly label: string;
  /** Extents: `rows` rows of `columns` elements, contiguous. */
  readonly rows: number;
  readonly columns: number;
  /** Buffers by name. A type of `Vec` is read in the width that {@link rowKernel} chooses: 4 elements or 1. */
  readonly buffers: readonly NamedBuffer[];
  readonly words?: readonly Word[];
  readonly flops?: number;
  /** Functions that the statements call. */
  readonly declarations?: string;
  /**
   * Statements that see `row`, `base` (index of the row's first Vec), `lane`, `p.steps` (Vecs in a row), the
   * constants LANES and WIDTH, total(Vec), greatest(Vec), element(Vec, u32), oneHot(i, at) (Vec i of the row that
   * is 1 at column `at`), rowSum(f32, lane) and rowMax(f32, lane).
   */
  readonly body: string;
}

/**
 * How many invocations share a row. On the processor's adapters one: barriers and workgroup memory cost more there
 * than all of the row (llvmpipe: softmax 4096 x 1024 at 2.0 GB/s with one lane a row, 0.3 with a shared tree).
 */
function lanesPerRow(steps: number, traits: KernelTraits): number {
  if (traits.isCpu || steps <= 8) return 1;
  return Math.min(steps <= 64 ? 32 : steps <= 512 ? 64 : 256, traits.maxInvocations);
}

const helpersOfFour = `
fn total(x: Vec) -> f32 { return dot(x, vec4<f32>(1.0)); }
fn greatest(x: Vec) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }
fn oneHot(i: u32, at: u32) -> Vec { return Vec(vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(at)); }
fn element(x: Vec, at: u32) -> f32 { return total(select(Vec(), x, vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(at))); }`;

const helpersOfOne = `
fn total(x: Vec) -> f32 { return x; }
fn greatest(x: Vec) -> f32 { return x; }
fn oneHot(i: u32, at: u32) -> Vec { return Vec(i == at); }
fn element(x: Vec, at: u32) -> f32 { return x; }`;

const tree = (name: string, lanes: number, combine: (a: string, b: string) => string): string => `
fn ${name}(x: f32, lane: u32) -> f32 {
  partial[lane] = x;
  workgroupBarrier();
  for (var half = ${lanes / 2}u; half > 0u; half = half / 2u) {
    if (lane < half) { partial[lane] = ${combine('partial[lane]', 'partial[lane + half]')}; }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier();
  return result;
}`;

/**
 * Statements that give `rowGreatest` and `rowTotal`, the sum of exp(x - rowGreatest), of the row whose Vec `i` is
 * `load`, in one pass (Milakov and Gimelshein, 2018).
 */
export const onlineNormalizer = (load: string): string => `  var greatestSoFar = -3.4e38;
  var totalSoFar = 0.0;
  for (var i = lane; i < p.steps; i += LANES) {
    let value = ${load};
    let next = max(greatestSoFar, greatest(value));
    totalSoFar = totalSoFar * exp(greatestSoFar - next) + total(exp(value - next));
    greatestSoFar = next;
  }
  let rowGreatest = rowMax(greatestSoFar, lane);
  let rowTotal = rowSum(totalSoFar * exp(greatestSoFar - rowGreatest), lane);`;

/** One dispatch that works row by row: a lane for each row, or a workgroup for each row with a tree of partial results. */
export function rowKernel(kernel: RowKernel, traits: KernelTraits): KernelDispatch {
  const { rows, columns } = kernel;
  const width = columns % 4 === 0 ? 4 : 1;
  const steps = columns / width;
  const lanes = lanesPerRow(steps, traits);
  const workgroup = lanes === 1 ? 64 : lanes;
  const params = uniformBlock(kernel.buffers.length, [
    ['rows', 'u32', rows],
    ['steps', 'u32', steps],
    ...(kernel.words ?? []),
  ]);
  const reductions =
    lanes === 1
      ? 'fn rowSum(x: f32, lane: u32) -> f32 { return x; }\nfn rowMax(x: f32, lane: u32) -> f32 { return x; }'
      : `var<workgroup> partial: array<f32, ${lanes}>;` +
        tree('rowSum', lanes, (a, b) => `${a} + ${b}`) +
        tree('rowMax', lanes, (a, b) => `max(${a}, ${b})`);
  const place =
    lanes === 1
      ? `  let row = group * ${workgroup}u + thread;\n  let lane = 0u;`
      : '  let row = group;\n  let lane = thread;';
  const wgsl = [
    `alias Vec = ${width === 4 ? 'vec4<f32>' : 'f32'};\nconst LANES = ${lanes}u;\nconst WIDTH = ${width}u;`,
    storageBuffers(kernel.buffers),
    params.text,
    width === 4 ? helpersOfFour : helpersOfOne,
    reductions,
    kernel.declarations ?? '',
    entry(
      workgroup,
      `${place}\n  if (row >= p.rows) { return; }\n  let base = row * p.steps;\n${kernel.body}`,
      'thread',
    ),
  ].join('\n');
  return {
    label: kernel.label,
    wgsl,
    bindings: kernel.buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(lanes === 1 ? Math.ceil(rows / workgroup) : rows, traits),
    ...(kernel.flops === undefined ? {} : { flops: kernel.flops }),
  };
}
