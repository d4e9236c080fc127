/** Adapters into the weights of their base: loaded where adapters are merged. */
import { isQuantized, type Module } from '@graftjs/nn';
import type { Entry } from './entry.ts';
import { MergeError } from './errors.ts';
import type { MergeOptions } from './options.ts';
import type { PeftModel } from './peft-model.ts';
import { parameterPlaces } from './replacements.ts';

/**
 * Adds the effects of active adapters to the base's weights.
 * @param composed whether they work together in another way than one after another
 * @throws MergeError; no weight was changed then
 */
export async function mergeEntries(
  { model, runtime, enabled }: PeftModel,
  entries: readonly Entry[],
  composed: boolean,
  { safe = false, dequantize = false }: MergeOptions,
): Promise<void> {
  if (composed)
    throw new MergeError(
      entries.map(({ name }) => name).join(', '),
      'a composition is no change of weights; setAdapter([…]) is',
    );
  for (const { name, attached, tuner } of entries) {
    if (!enabled) throw new MergeError(name, 'adapters are disabled; call enableAdapters() first');
    if (!attached.merge || !attached.unmerge)
      throw new MergeError(name, `${tuner.peftType} is no change of weights`);
  }
  if (!dequantize) for (const { name, attached } of entries) checkUnquantized(name, model, attached.targets);
  for (const { attached } of entries) await attached.prepareMerge?.(runtime);
  const done: Entry[] = [];
  try {
    for (const entry of entries) {
      await entry.attached.merge!(runtime, { safe });
      done.push(entry);
    }
  } catch (error) {
    for (const { attached } of done.reverse()) await attached.unmerge!(runtime);
    throw error;
  }
}

/** @throws MergeError where a target's weight is quantized: merging puts an f32 one in its place */
function checkUnquantized(adapter: string, model: Module, targets: readonly string[]): void {
  const quantized = [...parameterPlaces(model)].flatMap(({ modulePath, parameter }) =>
    isQuantized(parameter) && targets.includes(modulePath) ? [{ modulePath, parameter }] : [],
  );
  const [first] = quantized;
  if (!first) return;
  const bytes = quantized.reduce((n, { parameter }) => n + 4 * parameter.size, 0);
  throw new MergeError(
    adapter,
    `${first.modulePath} (${first.parameter.format}) and ${quantized.length - 1} more targets are quantized: merging stores them in f32, ${bytes} bytes; allow it by dequantize: true`,
  );
}
