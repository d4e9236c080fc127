/** `a.b.c` -> `c`, `b.c`, `a.b.c`. */
const endsOf = (path: string): string[] => {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(parts.length - 1 - i).join('.'));
};

/**
 * The fewest ends of paths that tell targets from all other modules: PEFT saves those instead of a long list.
 * Source: peft/tuners/tuners_utils.py, `_find_minimal_target_modules`.
 */
export function minimalTargets(targets: readonly string[], others: readonly string[]): string[] {
  const taken = new Set(others.flatMap(endsOf));
  const required = new Set<string>();
  const inOrder = [...new Set(targets)]
    .map((path) => ({ path, ends: endsOf(path) }))
    .sort((a, b) => compareLists(a.ends, b.ends));
  for (const { path, ends } of inOrder)
    for (const end of ends) {
      if (required.has(end) || taken.has(end)) continue;
      if ([...required].some((known) => path.endsWith(`.${known}`))) continue;
      required.add(end);
      break;
    }
  return required.size === 0 ? [...targets] : [...required];
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  }
  return a.length - b.length;
}
