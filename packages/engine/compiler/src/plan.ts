import { byteSize } from '@graftjs/tensor';
import type { DeviceTraits } from '@graftjs/webgpu';
import { elementKernel } from './element-kernel.ts';
import { memoryOf, memoryOfKey } from './expression.ts';
import { elements, type Ir, type IrValue } from './ir.ts';
import { type Interval, placeIntervals } from './memory.ts';
import { schedule } from './schedule.ts';
import { isScratch, type ScratchValue, type Step, type StepBinding } from './step.ts';

/** Where a binding lies: a variable's own buffer (by slot), or a range of the arena. */
export type Place =
  | { readonly variable: number; readonly byteLength: number }
  | { readonly offset: number; readonly byteLength: number };

export interface PlannedStep {
  readonly label: string;
  readonly wgsl: string;
  readonly places: readonly Place[];
  readonly params?: Uint32Array<ArrayBuffer>;
  readonly workgroups: readonly [number, number, number];
  readonly flops: number;
  readonly bytes: number;
}

/** Everything that running a graph needs but the variables themselves: kernels, order and memory. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
  readonly arenaBytes: number;
  readonly outputs: readonly Place[];
  /** Results that could not be written where they belong: copied there at the end. */
  readonly copies: readonly { readonly from: Place; readonly to: number }[];
}

/** The first `outputCount` roots are outputs; root `outputCount + i` is the next value of variable slot `updates[i]`. */
export function makePlan(
  ir: Ir,
  outputCount: number,
  updates: readonly number[],
  traits: DeviceTraits,
): Plan {
  const { steps, fusion } = schedule(ir, traits);
  const working = steps.flatMap(separateOperands);
  const slotOf = new Map<string, number>();
  ir.nodes.forEach((node) => {
    if (node.variable) slotOf.set(`${node.id}.0`, ir.variables.indexOf(node.variable));
  });

  // a root that is a variable's old value is kept before the variable changes
  const kept = new Map<number, ScratchValue>();
  ir.roots.forEach((root, i) => {
    const slot = slotOf.get(memoryOfKey(root));
    if (slot === undefined || !updates.some((u, k) => u === slot && outputCount + k !== i)) return;
    const scratch: ScratchValue = {
      scratch: `kept ${i}`,
      byteLength: elements(root.shape) * byteSize(root.dtype),
    };
    kept.set(i, scratch);
    working.unshift(copyStep(memoryOf(root), scratch));
  });

  // next values that may be written straight into their variable
  const home = new Map<string, number>();
  const outputKeys = new Set(ir.roots.slice(0, outputCount).map(memoryOfKey));
  updates.forEach((slot, i) => {
    const value = memoryOf(ir.roots[outputCount + i]!);
    const key = memoryOfKey(value);
    const variableKey = [...slotOf].find(([, s]) => s === slot)?.[0];
    if (slotOf.has(key) || home.has(key) || (variableKey && outputKeys.has(variableKey))) return;
    const at = working.findIndex((s) => s.writes.some((w) => memoryOfKey(w) === key));
    const reads = (s: Step): boolean =>
      variableKey !== undefined && s.bindings.some((b) => !isScratch(b) && memoryOfKey(b) === variableKey);
    if (working.some((s, j) => j > at && reads(s))) return;
    const producer = working[at]!;
    if (!reads(producer)) {
      const updatesOther = producer.updates?.find((u) => memoryOfKey(u.output) === key);
      if (updatesOther && memoryOfKey(updatesOther.input) !== variableKey) return;
      home.set(key, slot);
      return;
    }
    if (producer.sameIndexReads?.some((v) => memoryOfKey(v) === variableKey)) {
      const variable = producer.reads.find((v) => memoryOfKey(v) === variableKey)!;
      working[at] = elementKernel(value, fusion.isMaterialized, traits, variable);
      home.set(key, slot);
    }
  });

  // memory that a kernel changes in place: shared where the old value dies there, copied first where it lives on
  const lastUse = (key: string): number =>
    ir.roots.some((r) => memoryOfKey(r) === key)
      ? Number.POSITIVE_INFINITY
      : working.findLastIndex(
          (s) =>
            s.bindings.some((b) => !isScratch(b) && memoryOfKey(b) === key) ||
            s.updates?.some((u) => memoryOfKey(u.input) === key),
        );
  const shared = new Map<string, string>();
  for (let i = 0; i < working.length; i++) {
    for (const { output, input } of working[i]!.updates ?? []) {
      const [out, into] = [memoryOfKey(output), memoryOfKey(input)];
      const slot = slotOf.get(into);
      if (slot !== undefined && home.get(out) === slot) continue;
      if (
        slot === undefined &&
        !home.has(out) &&
        lastUse(into) <= i &&
        !working[i]!.bindings.some((b) => !isScratch(b) && memoryOfKey(b) === into)
      ) {
        shared.set(out, into);
        continue;
      }
      working.splice(i, 0, copyStep(input, output));
      i++;
    }
  }
  const groupOf = (key: string): string => {
    let k = key;
    while (shared.has(k)) k = shared.get(k)!;
    return k;
  };

  const life = new Map<string, { byteLength: number; first: number; last: number }>();
  const touch = (key: string, byteLength: number, at: number): void => {
    const known = life.get(key);
    if (!known) life.set(key, { byteLength, first: at, last: at });
    else {
      known.last = Math.max(known.last, at);
      known.byteLength = Math.max(known.byteLength, byteLength);
    }
  };
  const sizeInBytes = (v: IrValue): number => elements(v.shape) * byteSize(v.dtype);
  const keyOf = (b: StepBinding): string => (isScratch(b) ? b.scratch : groupOf(memoryOfKey(b)));
  const inArena = (key: string): boolean => !slotOf.has(key) && !home.has(key);
  working.forEach((step, i) => {
    for (const b of [...step.bindings, ...step.writes]) {
      const key = keyOf(b);
      if (inArena(key)) touch(key, isScratch(b) ? b.byteLength : sizeInBytes(b), i);
    }
  });
  for (const scratch of kept.values()) touch(scratch.scratch, scratch.byteLength, working.length);
  for (const root of ir.roots) {
    const key = groupOf(memoryOfKey(root));
    if (inArena(key)) touch(key, sizeInBytes(root), working.length);
  }
  const intervals: Interval[] = [...life].map(([key, l]) => ({ key, ...l }));
  const arena = placeIntervals(intervals, Math.max(traits.storageAlignment, 256));

  const placeOf = (b: StepBinding): Place => {
    const key = keyOf(b);
    const byteLength = isScratch(b) ? b.byteLength : sizeInBytes(b);
    const slot = slotOf.get(key) ?? home.get(key);
    return slot !== undefined
      ? { variable: slot, byteLength }
      : { offset: arena.offsets.get(key)!, byteLength };
  };
  return {
    steps: working.map(({ label, wgsl, bindings, params, workgroups, flops, bytes }) => ({
      label,
      wgsl,
      places: bindings.map(placeOf),
      workgroups,
      flops,
      bytes,
      ...(params ? { params } : {}),
    })),
    arenaBytes: arena.byteLength,
    outputs: ir.roots.slice(0, outputCount).map((root, i) => placeOf(kept.get(i) ?? root)),
    copies: updates.flatMap((slot, i) => {
      const value = kept.get(outputCount + i) ?? ir.roots[outputCount + i]!;
      const from = placeOf(value);
      return 'variable' in from && from.variable === slot ? [] : [{ from, to: slot }];
    }),
  };
}

/** One memory cannot be bound twice to a kernel: the second binding gets a copy. */
function separateOperands(step: Step): Step[] {
  const keys = step.bindings.map((b) => (isScratch(b) ? b.scratch : memoryOfKey(b)));
  const repeated = step.bindings.flatMap((b, i) =>
    !isScratch(b) && keys.indexOf(keys[i]!) !== i ? [{ value: b, i }] : [],
  );
  if (repeated.length === 0) return [step];
  const bindings = [...step.bindings];
  const copies = repeated.map(({ value, i }) => {
    const scratch: ScratchValue = {
      scratch: `copy ${keys[i]} ${i}`,
      byteLength: elements(value.shape) * byteSize(value.dtype),
    };
    bindings[i] = scratch;
    return copyStep(value, scratch);
  });
  return [...copies, { ...step, bindings }];
}

function copyStep(input: IrValue, output: StepBinding): Step {
  const words = Math.ceil((elements(input.shape) * byteSize(input.dtype)) / 4);
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
