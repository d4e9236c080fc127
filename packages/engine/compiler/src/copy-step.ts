import { memoryOfKey } from './expression.ts';
import { type IrValue, sizeInBytes } from './ir.ts';
import { isPack, isScratch, type ScratchValue, type Step, type StepOperand } from './step.ts';

/** One memory cannot be bound twice to a kernel: what is bound again is bound as a copy. */
export function separateOperands(step: Step): Step[] {
  const seen = new Set<string>();
  const copies: Step[] = [];
  const separate = (b: StepOperand): StepOperand => {
    const key = isScratch(b) ? b.scratch : memoryOfKey(b);
    if (isScratch(b) || !seen.has(key)) {
      seen.add(key);
      return b;
    }
    const scratch: ScratchValue = {
      scratch: `copy ${key} ${seen.size}.${copies.length}`,
      byteLength: sizeInBytes(b),
    };
    copies.push(copyStep(b, scratch));
    return scratch;
  };
  const bindings = step.bindings.map((b) => (isPack(b) ? { pack: b.pack.map(separate) } : separate(b)));
  return copies.length ? [...copies, { ...step, bindings }] : [step];
}

/** Copies a value's memory to another. */
export function copyStep(input: IrValue, output: StepOperand): Step {
  const words = Math.ceil(sizeInBytes(input) / 4);
  return {
    label: 'copy before change in place',
    wgsl: `
@group(0) @binding(0) var<storage, read_write> from_: array<u32>;
@group(0) @binding(1) var<storage, read_write> to: array<u32>;
@group(0) @binding(2) var<uniform> size: vec4<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
let position = (workgroup.y * count.x + workgroup.x) * 64u + lane;
if (position < size.x) { to[position] = from_[position]; }
}`,
    bindings: [input, output],
    params: Uint32Array.of(words, 0, 0, 0),
    workgroups: [Math.min(Math.ceil(words / 64), 65535), Math.ceil(Math.ceil(words / 64) / 65535), 1],
    reads: [input],
    writes: isScratch(output) ? [] : [output],
    flops: 0,
    bytes: words * 4,
  };
}
