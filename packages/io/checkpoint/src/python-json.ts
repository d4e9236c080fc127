import { CheckpointError } from './errors.ts';
import { compareCodePoints } from './safetensors-writer.ts';

/**
 * JSON as Python's `json.dumps(value, indent=2, sort_keys=True)` writes it: keys in the order of their code
 * points, everything beyond ASCII escaped, floats as `repr` gives them. Keys whose value is undefined are
 * left out.
 * @param floats keys whose numbers are Python floats: `0` is written `0.0` there
 * @throws CheckpointError where a value has no place in JSON (NaN, an infinity, a function, a cycle)
 */
export function pythonJson(value: unknown, floats: ReadonlySet<string> = new Set()): string {
  const open: unknown[] = [];

  const write = (item: unknown, path: string, isFloat: boolean, indent: string): string => {
    if (item === null || typeof item === 'boolean') return String(item);
    if (typeof item === 'string') return pythonString(item);
    if (typeof item === 'bigint') return String(item);
    if (typeof item === 'number') {
      if (!Number.isFinite(item)) throw refuse(path, String(item));
      return isFloat ? pythonFloat(item) : pythonNumber(item);
    }
    if (typeof item !== 'object') throw refuse(path, `a ${typeof item}`);
    if (open.includes(item)) throw refuse(path, 'an object that holds itself');
    open.push(item);
    const inner = `${indent}  `;
    const isArray = Array.isArray(item);
    const members = isArray
      ? item.map((each, i) => inner + write(each, `${path}[${i}]`, isFloat, inner))
      : Object.entries(item)
          .filter(([, each]) => each !== undefined)
          .sort(([a], [b]) => compareCodePoints(a, b))
          .map(([key, each]) => {
            const text = write(each, path ? `${path}.${key}` : key, isFloat || floats.has(key), inner);
            return `${inner}${pythonString(key)}: ${text}`;
          });
    open.pop();
    const [left, right] = isArray ? '[]' : '{}';
    return members.length === 0 ? `${left}${right}` : `${left}\n${members.join(',\n')}\n${indent}${right}`;
  };
  return write(value, '', false, '');
}

function pythonString(text: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escaped);
}

/** A whole number is a Python int. */
function pythonNumber(value: number): string {
  return Number.isInteger(value) ? BigInt(value).toString() : pythonFloat(value);
}

/** `repr`: the same digits as JavaScript's, but an exponent below 1e-4 and from 1e16, of two digits at least. */
function pythonFloat(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    const sign = power < 0 ? '-' : '+';
    return `${digits}e${sign}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  const plain = String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

function refuse(path: string, what: string): CheckpointError {
  return new CheckpointError(
    path || 'the value',
    `${what} cannot be written as JSON`,
    'Give a finite, plain value',
  );
}
