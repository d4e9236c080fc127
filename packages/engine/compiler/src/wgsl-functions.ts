import { type DType, philoxText } from '@graftjs/tensor';
import { type HalfDType, halfFunctions } from './half.ts';

/** The WGSL type that computes a dtype. */
export function scalarType(dtype: DType): 'f32' | 'i32' | 'u32' | 'bool' {
  switch (dtype) {
    case 'f32':
    case 'i32':
    case 'u32':
    case 'bool':
      return dtype;
    case 'f16':
    case 'bf16':
      return 'f32';
    default:
      return dtype satisfies never;
  }
}

/** The WGSL type of a 32-bit element in memory: bool is 0 or 1. */
export const storageType = (dtype: DType): string => (dtype === 'bool' ? 'u32' : scalarType(dtype));

export const typeName = (scalar: string, width: number): string =>
  width === 1 ? scalar : `vec${width}<${scalar}>`;

/** A literal of a dtype. */
export function literal(value: number, dtype: DType): string {
  switch (scalarType(dtype)) {
    case 'bool':
      return value !== 0 ? 'true' : 'false';
    case 'i32':
      return value === -(2 ** 31) ? 'i32(-2147483647 - 1)' : `${Math.trunc(value)}i`;
    case 'u32':
      return `${Math.trunc(value) >>> 0}u`;
    case 'f32': {
      if (Number.isNaN(value)) return 'bitcast<f32>(0x7fc00000u)';
      const rounded = Math.fround(value);
      if (!Number.isFinite(rounded))
        throw new Error(`${value} has no f32 literal; use a large finite number`);
      const text = `${rounded}`;
      return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
    }
  }
}

const float = (name: string) => (x: string) => `${name}(${x})`;

/** WGSL of each unary primitive; `type` is the WGSL type of the operand. */
export const unaryText: Readonly<Record<string, (x: string, type: string) => string>> = {
  neg: (x) => `(-${x})`,
  exp: float('exp'),
  log: float('log'),
  sqrt: float('sqrt'),
  rsqrt: float('inverseSqrt'),
  reciprocal: (x, type) => `(${type}(1.0) / ${x})`,
  sin: (x, type) => `${helperName('sin', type)}(${x})`,
  cos: (x, type) => `${helperName('cos', type)}(${x})`,
  // beyond ±15 tanh is ±1 in f32, and some drivers overflow there
  tanh: (x, type) => `tanh(clamp(${x}, ${type}(-15.0), ${type}(15.0)))`,
  erf: (x, type) => `${helperName('erf', type)}(${x})`,
  abs: float('abs'),
  floor: float('floor'),
  not: (x) => `(!${x})`,
};

const infix = (operator: string) => (a: string, b: string) => `(${a} ${operator} ${b})`;
const unsigned = (type: string): string => type.replace(/i32/, 'u32');

export const binaryText: Readonly<Record<string, (a: string, b: string, type: string) => string>> = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  pow: (a, b) => `pow(${a}, ${b})`,
  maximum: (a, b) => `max(${a}, ${b})`,
  minimum: (a, b) => `min(${a}, ${b})`,
  less: infix('<'),
  equal: infix('=='),
  and: infix('&'),
  or: infix('|'),
  bitAnd: infix('&'),
  bitOr: infix('|'),
  bitXor: infix('^'),
  shiftLeft: (a, b, type) => `(${a} << ${unsigned(type)}(${b}))`,
  shiftRight: (a, b, type) => `(${a} >> ${unsigned(type)}(${b}))`,
};

/** Functions that WGSL lacks, or leaves too vague: sin and cos may be off by 2^-11 there. */
export type Helper = 'erf' | 'sin' | 'cos' | 'philox' | HalfDType;

const helperName = (helper: Helper, type: string): string =>
  `graft_${helper}${type.startsWith('vec4') ? 4 : 1}`;

/** Operations whose text calls a helper. */
export const helperOf: Readonly<Record<string, Helper>> = { erf: 'erf', sin: 'sin', cos: 'cos' };

/** WGSL of helpers, given as `name` + width (`erf4`), or by name where there is one for all widths, each once. */
export const helperText = (helpers: ReadonlySet<string>): string =>
  [...helpers]
    .sort()
    .map((key) => {
      if (key === 'philox') return philoxText;
      if (key === 'f16' || key === 'bf16') return halfFunctions(key);
      const type = key.endsWith('4') ? 'vec4<f32>' : 'f32';
      if (key.startsWith('erf')) return erfFunction(type);
      return key.startsWith('sin') ? sineFunction('sin', type, 0) : sineFunction('cos', type, 1);
    })
    .join('');

/**
 * erf as a rational function on [-4, 4] (the coefficients of Eigen's and XLA's f32 version), within 2 ulp or so.
 */
const erfFunction = (type: string): string => `
fn ${helperName('erf', type)}(value: ${type}) -> ${type} {
  let x = clamp(value, ${type}(-4.0), ${type}(4.0));
  let s = x * x;
  let p = x * ((((((${type}(-2.72614225801306e-10) * s + 2.77068142495902e-08) * s - 2.10102402082508e-06) * s - 5.69250639462346e-05) * s - 7.34990630326855e-04) * s - 2.95459980854025e-03) * s - 1.60960333262415e-02);
  let q = ((((${type}(-1.45660718464996e-05) * s - 2.13374055278905e-04) * s - 1.68282697438203e-03) * s - 7.37332916720468e-03) * s - 1.42647390514189e-02);
  return p / q;
}
`;

/** sin(x + shift * pi/2): reduction to [-pi/4, pi/4] in three parts, then the polynomials of Cephes' sinf and cosf. */
const sineFunction = (name: 'sin' | 'cos', type: string, shift: number): string => {
  const integer = type.replace('f32', 'i32');
  return `
fn ${helperName(name, type)}(x: ${type}) -> ${type} {
  let j = floor(x * 0.6366197723675814 + 0.5);
  let r = ((x - j * 1.5703125) - j * 4.837512969970703125e-4) - j * 7.54978995489188216e-8;
  let z = r * r;
  let s = r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4));
  let c = 1.0 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5));
  let q = ${integer}(j) + ${shift};
  let value = select(s, c, (q & ${integer}(1)) == ${integer}(1));
  return select(value, -value, (q & ${integer}(2)) == ${integer}(2));
}
`;
};
