import type { ConfigField } from '@graftjs/peft';

const numeric = (value: unknown): unknown =>
  typeof value === 'string' && /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(value.trim())
    ? Number(value)
    : value;

/** Whether a field takes names: a list of them, or one regular expression. */
const takesNames = ({ accepts }: ConfigField): boolean => accepts('a') && accepts(['a']) && !accepts({});

/**
 * The value of a field that a configuration or a flag means: numbers may be quoted, choices written in any case, lists be
 * one thing. Of a flag, `a,b` is a list and `a=1,b=2` numbers by name. Undefined where the field takes none of it.
 */
export function meaning(value: unknown, field: ConfigField, isFlag = false): unknown {
  return candidates(value, field, isFlag).find((each) => each !== undefined && field.accepts(each));
}

function candidates(value: unknown, field: ConfigField, isFlag: boolean): unknown[] {
  if (Array.isArray(value)) return [value, value.map(numeric)];
  if (typeof value === 'object' && value !== null)
    return [value, Object.fromEntries(Object.entries(value).map(([name, each]) => [name, numeric(each)]))];
  if (typeof value !== 'string') return [value, [value]];
  if (takesNames(field)) {
    if (value === 'default') return [null];
    // PEFT reads a single string as a regular expression for whole paths; a plain name here means that name
    if (/^[\w.]+$/.test(value) && value.toLowerCase() !== 'all-linear') return [[value]];
  }
  const parts = /^[^,(){}[\]|]+(,[^,(){}[\]|]+)*$/.test(value)
    ? value.split(',').map((part) => part.trim())
    : [];
  const pairs = parts.map((part) => part.split('=').map((side) => side.trim()));
  return [
    ...(isFlag && parts.length > 1 ? [parts.map(numeric), parts] : []),
    ...(isFlag && pairs.every((pair) => pair.length === 2)
      ? [Object.fromEntries(pairs.map(([name, side]) => [name, numeric(side)]))]
      : []),
    ...(value === 'true' || value === 'false' ? [value === 'true'] : []),
    numeric(value),
    value,
    value.toUpperCase(),
    value.toLowerCase(),
    [numeric(value)],
    [value],
  ];
}
