import type { KernelDispatch, KernelTraits } from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock, type Word } from './kernel-text.ts';

export interface ElementKernel {
  readonly label: string;
  /** Invocations: elements, or groups of four. */
  readonly count: number;
  readonly buffers: readonly NamedBuffer[];
  readonly words?: readonly Word[];
  readonly flops?: number;
  /** Statements that see `i`, below `p.count`. */
  readonly body: string;
  /** Declarations before the entry point. */
  readonly declarations?: string;
}

/** One dispatch with an invocation for each of `count` indices. */
export function elementKernel(kernel: ElementKernel, traits: KernelTraits): KernelDispatch {
  const workgroup = kernel.count < 16384 ? 64 : Math.min(256, traits.maxInvocations);
  const params = uniformBlock(kernel.buffers.length, [
    ['count', 'u32', kernel.count],
    ...(kernel.words ?? []),
  ]);
  const body = `  let i = group * ${workgroup}u + lane;\n  if (i >= p.count) { return; }\n${kernel.body}`;
  return {
    label: kernel.label,
    wgsl: [
      kernel.declarations ?? '',
      storageBuffers(kernel.buffers),
      params.text,
      entry(workgroup, body),
    ].join('\n'),
    bindings: kernel.buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(Math.ceil(kernel.count / workgroup), traits),
    ...(kernel.flops === undefined ? {} : { flops: kernel.flops }),
  };
}

/** 4 where runs of `extent` elements can be read four at a time, else 1; and the WGSL type of that many. */
export const vectorWidth = (extent: number): { width: 1 | 4; type: string } =>
  extent % 4 === 0 ? { width: 4, type: 'vec4<f32>' } : { width: 1, type: 'f32' };
