/**
 * One dispatch over many tensors that lie in packs: a workgroup takes a chunk of one of them, which it finds by bisection
 * in a table of where each begins.
 */
import {
  type KernelBinding,
  type KernelDispatch,
  type KernelOperand,
  type KernelTraits,
  packOffsets,
  type Shape,
  sizeOf,
} from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock, type Word } from './kernel-text.ts';

const lanes = 64;
/** Four words for each tensor, within the 64 KiB of a uniform block. */
export const mostPacked = 4000;

export interface PackKernel {
  readonly label: string;
  readonly shapes: readonly Shape[];
  /** A number for each tensor, which the statements see as `tag`; left out: 0. */
  readonly tags?: readonly number[];
  /** Buffers by name; packs are of `vec4<f32>`. */
  readonly buffers: readonly NamedBuffer[];
  /** Groups of four elements that an invocation takes, one after another. Default 1. */
  readonly perLane?: number;
  readonly words?: readonly Word[];
  readonly flops?: number;
  readonly declarations?: string;
  /** Statements before the first group of an invocation; those of a group; those after the last. */
  readonly before?: string;
  /** They see `i`, the group's index in its packs, and `left`, how many of its elements are the tensor's (from 1 on). */
  readonly body: string;
  readonly after?: string;
}

/** Pack of operands, all inputs or all outputs. */
export const packOf = (kind: 'input' | 'output', first: number, count: number): KernelBinding => ({
  pack: Array.from({ length: count }, (_, i) => ({ [kind]: first + i }) as unknown as KernelOperand),
});

/** Invocations of {@link packKernel} over tensors of these shapes. */
export const packInvocations = (shapes: readonly Shape[], perLane: number): number =>
  lanes * shapes.reduce((n, shape) => n + chunksOf(shape, perLane), 0);

const chunksOf = (shape: Shape, perLane: number): number =>
  Math.ceil(Math.ceil(sizeOf(shape) / 4) / (lanes * perLane));

export function packKernel(kernel: PackKernel, traits: KernelTraits): KernelDispatch {
  const { shapes, buffers, perLane = 1, tags } = kernel;
  const { offsets } = packOffsets(shapes.map((shape) => 4 * sizeOf(shape)));
  let chunks = 0;
  const table = shapes.flatMap((shape, i) => {
    const first = chunks;
    chunks += chunksOf(shape, perLane);
    return [first, offsets[i]! / 16, sizeOf(shape), tags?.[i] ?? 0];
  });
  const params = uniformBlock(buffers.length, [
    ['count', 'u32', shapes.length],
    ['chunks', 'u32', chunks],
    ...(kernel.words ?? []),
  ]);
  const body = `  if (group >= p.chunks) { return; }
  var low = 0u;
  var high = p.count;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (p.tensors[middle].x <= group) { low = middle; } else { high = middle; }
  }
  let tensor = p.tensors[low];
  let tag = tensor.w;
  let begin = (group - tensor.x) * ${lanes * perLane}u + lane;
${kernel.before ?? ''}
  for (var k = 0u; k < ${perLane}u; k++) {
    let at = begin + k * ${lanes}u;
    if (4u * at >= tensor.z) { break; }
    let i = tensor.y + at;
    let left = tensor.z - 4u * at;
${kernel.body}
  }
${kernel.after ?? ''}`;
  return {
    label: kernel.label,
    wgsl: [
      kernel.declarations ?? '',
      storageBuffers(buffers),
      params.text.replace(' }', `, tensors: array<vec4<u32>, ${shapes.length}> }`),
      entry(lanes, body),
    ].join('\n'),
    bindings: buffers.map(([, , binding]) => binding),
    params: Uint32Array.of(...params.data, ...table),
    workgroups: spread(chunks, traits),
    ...(kernel.flops === undefined ? {} : { flops: kernel.flops }),
  };
}
