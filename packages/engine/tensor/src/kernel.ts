import type { Attrs, TensorSpec } from './graph.ts';

/** What a kernel may know of the device it is written for. `@graftjs/webgpu`'s `DeviceTraits` is one. */
export interface KernelTraits {
  readonly isCpu: boolean;
  /** Lanes of a subgroup, 0 where there are none or the size is not fixed. */
  readonly subgroupSize: number;
  readonly hasF16: boolean;
  readonly maxBindingSize: number;
  readonly maxStorageBuffers: number;
  readonly maxInvocations: number;
  readonly maxWorkgroupStorage: number;
  readonly maxWorkgroupsPerDimension: number;
  /** What was measured on this very device; left out, kernels are chosen by the rest. */
  readonly measured?: KernelChoices;
}

/** Which configurations of kernels were measured to be the fastest. */
export interface KernelChoices {
  /**
   * The label of the fastest configuration for a class of a kernel family's problems; undefined where none was measured.
   * @param problem one of the class, which may be measured later
   */
  choose(family: string, problemClass: string, problem: object): string | undefined;
}

/** One operation to be run: what comes in, what goes out, and its attributes. */
export interface KernelRequest {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly attrs: Attrs;
}

export type KernelOperand = { readonly input: number } | { readonly output: number };

export type KernelBinding =
  | KernelOperand
  | { readonly scratch: number }
  /** Operands, none of them twice, that lie one after another in one memory: see {@link packOffsets}. */
  | { readonly pack: readonly KernelOperand[] };

/** Bytes that the beginning of each operand of a pack is a multiple of. */
const packAlignment = 256;

/** Where operands of these sizes begin in their pack, in bytes, and how long it is. */
export function packOffsets(byteLengths: readonly number[]): {
  readonly offsets: number[];
  readonly byteLength: number;
} {
  let byteLength = 0;
  const offsets = byteLengths.map((length) => {
    const begin = byteLength;
    byteLength += Math.max(1, Math.ceil(length / packAlignment)) * packAlignment;
    return begin;
  });
  return { offsets, byteLength };
}

/**
 * One dispatch. Its WGSL declares `@group(0) @binding(i) var<storage, read_write>` for each entry of `bindings`
 * in order (read_write for inputs too: temporaries share one buffer), then, where `params` is given, one
 * `var<uniform>` at the next binding; the entry point is `main`. Every operand is contiguous and row-major.
 */
export interface KernelDispatch {
  readonly label: string;
  readonly wgsl: string;
  readonly bindings: readonly KernelBinding[];
  /** 32-bit words of the uniform block. Values that differ between calls of one text belong here. */
  readonly params?: Uint32Array<ArrayBuffer>;
  readonly workgroups: readonly [number, number, number];
  /** Floating-point operations, for the plan's account. */
  readonly flops?: number;
}

/** A hand-written kernel of an operation: its dispatches, in order. */
export interface Kernel {
  readonly dispatches: readonly KernelDispatch[];
  readonly scratch?: readonly TensorSpec[];
  /** Pairs whose memory may be one: `output` is written only where `input` was read, element by element. */
  readonly inPlace?: readonly { readonly output: number; readonly input: number }[];
}

/**
 * How kernels read elements of a result that has no memory: whoever needs them (products, lookups, element-wise work)
 * binds the operation's inputs and calls these functions. So weights are stored in a form of their own, and never in full.
 */
export interface ElementReader {
  /** Equal names: equal texts. */
  readonly name: string;
  /** Numbers that differ from shape to shape, so that the text does not: `places`, the functions' last argument. */
  readonly layout: readonly [number, number, number, number];
  /**
   * WGSL of `fn ${prefix}At(i: u32, places: vec4<u32>) -> f32`, the element at the row-major position i, and
   * `fn ${prefix}Four(i: u32, places: vec4<u32>) -> vec4<f32>`, it and the next three, where i is a multiple of 4 and
   * all four are there. Every name at module scope begins with `prefix`.
   * @param inputs names of the inputs' bindings: arrays of f32, i32, u32, or (16-bit floats) of u32 with two elements each
   */
  text(prefix: string, inputs: readonly string[]): string;
}

/** Writes the reader for a request, or `undefined` where the decomposition should run instead. */
export type ReaderFactory = (request: KernelRequest) => ElementReader | undefined;

/** Writes the kernel for a request, or `undefined` where the decomposition should run instead. */
export type KernelFactory = (request: KernelRequest, traits: KernelTraits) => Kernel | undefined;
