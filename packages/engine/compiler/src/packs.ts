import { packOffsets } from '@graftjs/tensor';
import { copyStep } from './copy-step.ts';
import { memoryOf, memoryOfKey } from './expression.ts';
import {
  isPack,
  isScratch,
  operandBytes,
  type PackValue,
  type ScratchValue,
  type Step,
  type StepOperand,
} from './step.ts';

/** Packs whose operands are variables, or next values that are written into theirs. */
export interface VariablePacks {
  /** Slots of each, in order. */
  readonly slots: readonly (readonly number[])[];
  /** Which of them a binding is; undefined where it lies in the arena. */
  indexOf(binding: PackValue): number | undefined;
}

/**
 * Finds packs that lie in variables: all of one kind, and no variable in two different ones. Next values in any other
 * pack lose their `home`: they are copied there when all is done.
 */
export function packVariables(
  steps: readonly Step[],
  slotOf: (key: string) => number | undefined,
  home: Map<string, number>,
): VariablePacks {
  const found = new Map<string, { readonly index: number; readonly slots: readonly number[] }>();
  const taken = new Set<number>();
  const indices = new Map<PackValue, number>();
  for (const binding of steps.flatMap((step) => step.bindings.filter(isPack))) {
    const keys = binding.pack.map((b) => (isScratch(b) ? undefined : memoryOfKey(b)));
    const slots = keys.map((key) => (key === undefined ? undefined : slotOf(key)));
    const all = slots.filter((slot) => slot !== undefined);
    const known = found.get(slots.join());
    if (known) indices.set(binding, known.index);
    else if (all.length === slots.length && all.every((slot) => !taken.has(slot))) {
      for (const slot of all) taken.add(slot);
      indices.set(binding, found.size);
      found.set(slots.join(), { index: found.size, slots: all });
    } else for (const key of keys) if (key !== undefined) home.delete(key);
  }
  return { slots: [...found.values()].map(({ slots }) => slots), indexOf: (binding) => indices.get(binding) };
}

/** Where in which part of the arena an operand of a pack lies. */
export interface Region {
  readonly name: string;
  readonly byteLength: number;
  readonly offset: number;
}

/**
 * Gives the packs in the arena their regions. An operand that cannot lie there (it is a variable, or lies in another
 * region already) is bound as a copy.
 */
export function packTemporaries(
  steps: readonly Step[],
  variables: VariablePacks,
  groupOf: (key: string) => string,
  inArena: (key: string) => boolean,
): { readonly placed: readonly Step[]; readonly regionOf: ReadonlyMap<string, Region> } {
  const regionOf = new Map<string, Region>();
  let count = 0;
  const place = (binding: PackValue): { binding: PackValue; copies: Step[] } => {
    const { offsets, byteLength } = packOffsets(binding.pack.map(operandBytes));
    const keys = binding.pack.map((b) => (isScratch(b) ? b.scratch : groupOf(memoryOfKey(b))));
    const known = regionOf.get(keys[0]!)?.name;
    if (
      known &&
      keys.every((key, i) => regionOf.get(key)?.name === known && regionOf.get(key)!.offset === offsets[i])
    )
      return { binding, copies: [] };
    const name = `pack ${count++}`;
    const copies: Step[] = [];
    const pack = binding.pack.map((b, i): StepOperand => {
      const own = !inArena(keys[i]!) || regionOf.has(keys[i]!);
      const operand: StepOperand =
        own && !isScratch(b) ? { scratch: `${name}.${i}`, byteLength: operandBytes(b) } : b;
      if (operand !== b && !isScratch(b)) copies.push(copyStep(memoryOf(b), operand as ScratchValue));
      regionOf.set(isScratch(operand) ? operand.scratch : keys[i]!, {
        name,
        byteLength,
        offset: offsets[i]!,
      });
      return operand;
    });
    return { binding: { pack }, copies };
  };
  const placed = steps.flatMap((step): Step[] => {
    if (!step.bindings.some((b) => isPack(b) && variables.indexOf(b) === undefined)) return [step];
    const copies: Step[] = [];
    const bindings = step.bindings.map((b) => {
      if (!isPack(b) || variables.indexOf(b) !== undefined) return b;
      const made = place(b);
      copies.push(...made.copies);
      return made.binding;
    });
    return [...copies, { ...step, bindings }];
  });
  return { placed, regionOf };
}
