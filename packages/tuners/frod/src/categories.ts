/** Which weights share a basis: those that play the same part in different blocks, by their paths. As in PEFT. */
import type { Linear } from '@graftjs/nn';

/** `self_attn_q_proj` of `model.layers.3.self_attn.q_proj`. */
export function categoryOf(path: string): string {
  const parts = path.split('.');
  const [before, last] = parts.slice(-2);
  if (last === undefined || before === undefined) return path;
  if (isNumber(before)) return last;
  const category = `${before}_${last}`;
  return category === 'output_dense' && parts.at(-3) === 'attention' ? 'attention_output' : category;
}

/** The layer after `layers`, or the first number in the path. */
function layerOf(path: string, otherwise: number): number {
  const parts = path.split('.');
  const named = parts[parts.indexOf('layers') + 1];
  if (parts.includes('layers') && named !== undefined && isNumber(named)) return Number(named);
  const first = parts.find(isNumber);
  return first === undefined ? otherwise : Number(first);
}

const isNumber = (part: string): boolean => /^\d+$/.test(part);

/**
 * Paths by category, in the order of their layers. Of several in one layer (encoder and decoder) the last one counts.
 */
export function pathsByCategory(layers: ReadonlyMap<string, Linear>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Map<number, string>>();
  for (const [i, path] of [...layers.keys()].entries()) {
    const category = categoryOf(path);
    const places = found.get(category) ?? new Map<number, string>();
    found.set(category, places.set(layerOf(path, i), path));
  }
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    sorted.map(([category, places]) => [
      category,
      [...places].sort(([a], [b]) => a - b).map(([, path]) => path),
    ]),
  );
}
