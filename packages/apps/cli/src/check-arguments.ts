import { parseArgs } from 'node:util';
import type { ArgsDef } from 'citty';
import { UsageError } from './errors.ts';
import { didYouMean } from './suggest.ts';

/**
 * Checks a command line against the flags of its verb: citty itself lets unknown flags, missing values and words
 * that nobody asked for pass.
 * @throws UsageError
 */
export function checkArguments(verb: string, rawArgs: readonly string[], args: ArgsDef): void {
  const flags = Object.entries(args).filter(([, { type }]) => type !== 'positional');
  const places = Object.entries(args).filter(([, { type }]) => type === 'positional');
  const types = new Map(
    flags.map(([name, { type }]) => [name, type === 'boolean' ? 'boolean' : 'string'] as const),
  );
  const { tokens } = parseArgs({
    args: [...rawArgs],
    options: Object.fromEntries([...types].map(([name, type]) => [name, { type }])),
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  let words = 0;
  for (const token of tokens) {
    if (token.kind === 'positional') {
      words++;
      if (words > places.length)
        throw new UsageError(
          `${verb} does not take ${JSON.stringify(token.value)}; see graft ${verb} --help`,
        );
    }
    if (token.kind !== 'option') continue;
    const type = types.get(token.name);
    if (type === undefined)
      throw new UsageError(
        `${verb} has no flag ${token.rawName}${
          didYouMean(
            token.name,
            flags.map(([name]) => `--${name}`),
          ) || `; see graft ${verb} --help`
        }`,
      );
    if (
      type === 'string' &&
      (token.value === undefined ||
        token.value === '' ||
        (!token.inlineValue && /^--?[a-z]/i.test(token.value)))
    )
      throw new UsageError(
        `${token.rawName} needs a value, as in ${token.rawName}=${args[token.name]!.valueHint ?? 'value'}`,
      );
    if (type === 'boolean' && token.value !== undefined)
      throw new UsageError(`${token.rawName} takes no value`);
  }
  const missing = places.filter(([, { required }]) => required !== false)[words];
  if (missing)
    throw new UsageError(`${verb} needs ${missing[1].description ?? missing[0]}; see graft ${verb} --help`);
}
