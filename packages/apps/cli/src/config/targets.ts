/** Whether targets are names, and not one of the words or a regular expression. */
export const listsNames = (targets: string | readonly string[]): boolean =>
  typeof targets !== 'string' ||
  (targets !== 'all-linear' && targets !== 'default' && /^[\w.]+$/.test(targets));

/** PEFT reads a single string as a regular expression for whole paths; a plain name here means that name. */
export function targetsOf(targets: string | readonly string[]): string | readonly string[] | null {
  if (targets === 'default') return null;
  return typeof targets === 'string' && listsNames(targets) ? [targets] : targets;
}
