import { packOffsets } from '@graftjs/tensor';
import type { DeviceTraits } from '@graftjs/webgpu';
import { copyStep, separateOperands } from './copy-step.ts';
import { elementKernel } from './element-kernel.ts';
import { memoryOf, memoryOfKey } from './expression.ts';
import { changeInPlace, findHomes } from './in-place.ts';
import { type Ir, sizeInBytes } from './ir.ts';
import { type Interval, placeIntervals } from './memory.ts';
import { packTemporaries, packVariables } from './packs.ts';
import { schedule } from './schedule.ts';
import {
  isPack,
  isScratch,
  operandBytes,
  operandsOf,
  type ScratchValue,
  type Step,
  type StepBinding,
  type StepOperand,
} from './step.ts';

/** Where a binding lies: a variable's memory (by slot), that of several (by its place in `packs`), or a range of the arena. */
export type Place =
  | { readonly variable: number; readonly byteLength: number }
  | { readonly pack: number; readonly byteLength: number }
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
  /** Slots of variables that lie one after another in one memory, as `packOffsets` places them. */
  readonly packs: readonly (readonly number[])[];
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
  const { steps, fusion } = schedule(ir, outputCount, traits);
  const slots = new Map(ir.variables.map((variable, slot) => [variable, slot]));
  const slotOf = new Map<string, number>();
  for (const node of ir.nodes) if (node.variable) slotOf.set(`${node.id}.0`, slots.get(node.variable)!);
  const { kept, copies } = keepOldValues(ir, slotOf, outputCount, updates);
  const separated = [...copies, ...steps.flatMap(separateOperands)];
  const { home, working } = findHomes(
    separated,
    ir,
    slotOf,
    outputCount,
    updates,
    (step, value, variable) => ({
      ...step,
      ...elementKernel(value, fusion.isMaterialized, traits, variable),
    }),
  );
  const variablePacks = packVariables(working, (key) => slotOf.get(key) ?? home.get(key), home);
  const { ordered, groupOf } = changeInPlace(working, ir, slotOf, home);
  const inArena = (key: string): boolean => !slotOf.has(key) && !home.has(key);
  const { placed, regionOf } = packTemporaries(ordered, variablePacks, groupOf, inArena);

  const life = new Map<string, { byteLength: number; first: number; last: number }>();
  const touch = (key: string, byteLength: number, at: number): void => {
    const known = life.get(key);
    if (!known) life.set(key, { byteLength, first: at, last: at });
    else {
      known.last = Math.max(known.last, at);
      known.byteLength = Math.max(known.byteLength, byteLength);
    }
  };
  const keyOf = (b: StepOperand): string => (isScratch(b) ? b.scratch : groupOf(memoryOfKey(b)));
  const touchOperand = (b: StepOperand, at: number): void => {
    const key = keyOf(b);
    if (!inArena(key)) return;
    const region = regionOf.get(key);
    if (region) touch(region.name, region.byteLength, at);
    else touch(key, operandBytes(b), at);
  };
  placed.forEach((step, i) => {
    for (const b of [...operandsOf(step.bindings), ...step.writes]) touchOperand(b, i);
  });
  for (const root of [...kept.values(), ...ir.roots.map(memoryOf)]) touchOperand(root, placed.length);
  const intervals: Interval[] = [...life].map(([key, l]) => ({ key, ...l }));
  const arena = placeIntervals(intervals, Math.max(traits.storageAlignment, 256));

  const placeOperand = (b: StepOperand): Place => {
    const key = keyOf(b);
    const byteLength = operandBytes(b);
    const slot = slotOf.get(key) ?? home.get(key);
    if (slot !== undefined) return { variable: slot, byteLength };
    const region = regionOf.get(key);
    const offset = region ? arena.offsets.get(region.name)! + region.offset : arena.offsets.get(key)!;
    return { offset, byteLength };
  };
  const placeOf = (b: StepBinding): Place => {
    if (!isPack(b)) return placeOperand(b);
    const { byteLength } = packOffsets(b.pack.map(operandBytes));
    const pack = variablePacks.indexOf(b);
    return pack === undefined ? { ...placeOperand(b.pack[0]!), byteLength } : { pack, byteLength };
  };
  return {
    steps: placed.map(({ label, wgsl, bindings, params, workgroups, flops, bytes }) => ({
      label,
      wgsl,
      places: bindings.map(placeOf),
      workgroups,
      flops,
      bytes,
      ...(params ? { params } : {}),
    })),
    arenaBytes: arena.byteLength,
    packs: variablePacks.slots,
    outputs: ir.roots.slice(0, outputCount).map((root, i) => placeOf(kept.get(i) ?? root)),
    copies: updates.flatMap((slot, i) => {
      const value = kept.get(outputCount + i) ?? ir.roots[outputCount + i]!;
      const from = placeOf(value);
      return 'variable' in from && from.variable === slot ? [] : [{ from, to: slot }];
    }),
  };
}

/** A root that is a variable's old value is kept before the variable changes. */
function keepOldValues(
  ir: Ir,
  slotOf: ReadonlyMap<string, number>,
  outputCount: number,
  updates: readonly number[],
): { readonly kept: ReadonlyMap<number, ScratchValue>; readonly copies: readonly Step[] } {
  const kept = new Map<number, ScratchValue>();
  const copies: Step[] = [];
  const updateOf = new Map(updates.map((slot, i) => [slot, outputCount + i]));
  ir.roots.forEach((root, i) => {
    const update = updateOf.get(slotOf.get(memoryOfKey(root)) ?? -1);
    if (update === undefined || update === i) return;
    const scratch: ScratchValue = { scratch: `kept ${i}`, byteLength: sizeInBytes(root) };
    kept.set(i, scratch);
    copies.push(copyStep(memoryOf(root), scratch));
  });
  return { kept, copies };
}
