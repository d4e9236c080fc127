import { suffixMatch } from './python-regex.ts';

/** What a config's `rank_pattern` or the like says of modules. */
export interface PatternValues {
  readonly of: (path: string) => number | undefined;
  /** Keys that match nothing. */
  readonly warnings: readonly string[];
}

/**
 * Values by name or regular expression: the first key that matches the end of a path counts.
 * @param key of the config, for warnings
 * @throws PatternError
 */
export function patternValues(
  pattern: Readonly<Record<string, number>>,
  key: string,
  paths: readonly string[],
): PatternValues {
  const entries = Object.entries(pattern).map(([name, value]) => ({ name, value, match: suffixMatch(name) }));
  return {
    of: (path) => entries.find(({ match }) => match.test(path))?.value,
    warnings: entries
      .filter(({ match }) => !paths.some((path) => match.test(path)))
      .map(({ name }) => `${key}: ${JSON.stringify(name)} matches no target`),
  };
}
