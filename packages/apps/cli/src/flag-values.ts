import { UsageError } from './errors.ts';

interface Range {
  readonly least: number;
  readonly most?: number;
  readonly whole?: boolean;
}

/**
 * The number of a flag.
 * @throws UsageError where it is not a number in the range
 */
export function numberFlag(name: string, text: string | undefined, fallback: number, range: Range): number {
  if (text === undefined) return fallback;
  const { least, most = Number.POSITIVE_INFINITY, whole = false } = range;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value)))
    return value;
  const kind = whole ? 'a whole number' : 'a number';
  const bounds = most === Number.POSITIVE_INFINITY ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}: it must be ${kind} ${bounds}`);
}

/** @throws UsageError where the flag is missing */
export function requiredFlag(verb: string, name: string, text: string | undefined): string {
  if (text === undefined || text === '')
    throw new UsageError(`${verb} needs --${name}; see graft ${verb} --help`);
  return text;
}

/** The parts of a flag that commas separate; undefined where it is not given. */
export const listFlag = (text: string | undefined): string[] | undefined =>
  text?.split(',').map((part) => part.trim());
