import { copyStep } from './copy-step.ts';
import { memoryOf, memoryOfKey } from './expression.ts';
import type { Ir, IrValue } from './ir.ts';
import { isScratch, operandsOf, type Step } from './step.ts';

/** At which steps a memory is bound, in order. */
function usesOf(steps: readonly Step[]): ReadonlyMap<string, readonly number[]> {
  const uses = new Map<string, number[]>();
  steps.forEach(({ bindings }, i) => {
    for (const key of new Set(operandsOf(bindings).flatMap((b) => (isScratch(b) ? [] : [memoryOfKey(b)])))) {
      const known = uses.get(key);
      if (known) known.push(i);
      else uses.set(key, [i]);
    }
  });
  return uses;
}

/**
 * Which next values are written straight into their variable (`home`, by memory): where no later step reads the old
 * value. An element-wise kernel that reads it at the element being written is made anew by `replaceInPlace`, to bind the
 * memory once.
 */
export function findHomes(
  steps: readonly Step[],
  ir: Ir,
  slotOf: ReadonlyMap<string, number>,
  outputCount: number,
  updates: readonly number[],
  replaceInPlace: (step: Step, value: IrValue, variable: IrValue) => Step,
): { readonly home: Map<string, number>; readonly working: readonly Step[] } {
  const working = [...steps];
  const home = new Map<string, number>();
  const uses = usesOf(working);
  const variableKeys = new Map([...slotOf].map(([key, slot]) => [slot, key]));
  const writers = new Map<string, number>();
  working.forEach(({ writes }, i) => {
    for (const value of writes) if (!writers.has(memoryOfKey(value))) writers.set(memoryOfKey(value), i);
  });
  const nextKeys = updates.map((_, i) => memoryOfKey(ir.roots[outputCount + i]!));
  const takers = new Map<string, number>();
  for (const key of nextKeys) takers.set(key, (takers.get(key) ?? 0) + 1);
  const outputKeys = new Set(ir.roots.slice(0, outputCount).map(memoryOfKey));
  updates.forEach((slot, i) => {
    const value = memoryOf(ir.roots[outputCount + i]!);
    const key = nextKeys[i]!;
    const variableKey = variableKeys.get(slot);
    // Variables that take the same value get copies: they may lie in one buffer, which cannot be copied to itself.
    if (takers.get(key)! > 1) return;
    if (slotOf.has(key) || home.has(key) || (variableKey && outputKeys.has(variableKey))) return;
    const at = writers.get(key)!;
    const readers = (variableKey && uses.get(variableKey)) || [];
    if (readers.length > 0 && readers.at(-1)! > at) return;
    const producer = working[at]!;
    if (readers.at(-1) !== at) {
      const updated = producer.updates?.find((u) => memoryOfKey(u.output) === key);
      if (updated && memoryOfKey(updated.input) !== variableKey) return;
      home.set(key, slot);
      return;
    }
    if (producer.sameIndexReads?.some((v) => memoryOfKey(v) === variableKey)) {
      const variable = producer.reads.find((v) => memoryOfKey(v) === variableKey)!;
      working[at] = replaceInPlace(producer, value, variable);
      home.set(key, slot);
    }
  });
  return { home, working };
}

/**
 * Memory that a kernel changes in place is shared by the old value and the new one where the old one dies there; where
 * it lives on, it is copied first.
 */
export function changeInPlace(
  steps: readonly Step[],
  ir: Ir,
  slotOf: ReadonlyMap<string, number>,
  home: ReadonlyMap<string, number>,
): { readonly ordered: readonly Step[]; readonly groupOf: (key: string) => string } {
  const lastUse = new Map<string, number>();
  for (const [key, at] of usesOf(steps)) lastUse.set(key, at.at(-1)!);
  steps.forEach(({ updates = [] }, i) => {
    for (const { input } of updates) {
      const key = memoryOfKey(input);
      lastUse.set(key, Math.max(i, lastUse.get(key) ?? i));
    }
  });
  for (const root of ir.roots) lastUse.set(memoryOfKey(root), Number.POSITIVE_INFINITY);
  const shared = new Map<string, string>();
  const ordered = steps.flatMap((step, i): Step[] => {
    if (!step.updates) return [step];
    const bound = new Set(operandsOf(step.bindings).flatMap((b) => (isScratch(b) ? [] : [memoryOfKey(b)])));
    const copies = step.updates.flatMap(({ output, input }) => {
      const [out, into] = [memoryOfKey(output), memoryOfKey(input)];
      const slot = slotOf.get(into);
      if (slot !== undefined && home.get(out) === slot) return [];
      if (slot === undefined && !home.has(out) && lastUse.get(into)! <= i && !bound.has(into)) {
        shared.set(out, into);
        return [];
      }
      return [copyStep(input, output)];
    });
    return [...copies, step];
  });
  const groupOf = (key: string): string => {
    let k = key;
    while (shared.has(k)) k = shared.get(k)!;
    return k;
  };
  return { ordered, groupOf };
}
