import { type IrValue, sizeInBytes } from './ir.ts';

/** What a step binds: a value's memory, scratch of its own, or several of them that lie one after another. */
export type StepBinding = StepOperand | PackValue;
export type StepOperand = IrValue | ScratchValue;

/** Memories in one, as `packOffsets` places them. */
export interface PackValue {
  readonly pack: readonly StepOperand[];
}

/** Memory that lives from the first to the last step that names it. */
export interface ScratchValue {
  readonly scratch: string;
  readonly byteLength: number;
}

export const isScratch = (b: StepBinding): b is ScratchValue => 'scratch' in b;
export const isPack = (b: StepBinding): b is PackValue => 'pack' in b;

/** The memories of bindings, those in packs too. */
export const operandsOf = (bindings: readonly StepBinding[]): StepOperand[] =>
  bindings.flatMap((b) => (isPack(b) ? b.pack : [b]));

export const operandBytes = (b: StepOperand): number => (isScratch(b) ? b.byteLength : sizeInBytes(b));

/** One dispatch of a plan, before memory is placed. */
export interface Step {
  readonly label: string;
  readonly wgsl: string;
  /** Storage bindings 0..n-1 in order. */
  readonly bindings: readonly StepBinding[];
  /** Words of the uniform at binding n. */
  readonly params?: Uint32Array<ArrayBuffer>;
  readonly workgroups: readonly [number, number, number];
  readonly reads: readonly IrValue[];
  readonly writes: readonly IrValue[];
  /** Of the values read, those that are read only at the element being written. */
  readonly sameIndexReads?: readonly IrValue[];
  /** The value whose contents `writes[0]`'s memory must hold when the step begins. */
  readonly updates?: readonly { readonly output: IrValue; readonly input: IrValue }[];
  readonly flops: number;
  readonly bytes: number;
}
