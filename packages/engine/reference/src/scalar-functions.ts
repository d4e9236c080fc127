import { type BinaryName, type DType, narrowToHalves, type UnaryName, widenHalves } from '@graftjs/tensor';

/** Taylor series near 0, continued fraction (Lentz) of erfc beyond: full double precision. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = a;
    let total = a;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total) && n < 200; n++) {
      term *= (-a * a) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

export const unaryFunctions: Readonly<Record<UnaryName, (x: number) => number>> = {
  neg: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  erf,
  abs: Math.abs,
  floor: Math.floor,
  not: (x) => (x === 0 ? 1 : 0),
};

export const binaryFunctions: Readonly<Record<BinaryName, (a: number, b: number, dtype: DType) => number>> = {
  add: (a, b, dtype) => wrap(a + b, dtype),
  sub: (a, b, dtype) => wrap(a - b, dtype),
  mul: (a, b, dtype) => (dtype === 'i32' ? Math.imul(a, b) : dtype === 'u32' ? Math.imul(a, b) >>> 0 : a * b),
  div: (a, b, dtype) => (dtype === 'i32' || dtype === 'u32' ? Math.trunc(a / b) : a / b),
  pow: (a, b) => a ** b,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
  less: (a, b) => (a < b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
  and: (a, b) => (a !== 0 && b !== 0 ? 1 : 0),
  or: (a, b) => (a !== 0 || b !== 0 ? 1 : 0),
  bitAnd: (a, b, dtype) => wrap(a & b, dtype),
  bitOr: (a, b, dtype) => wrap(a | b, dtype),
  bitXor: (a, b, dtype) => wrap(a ^ b, dtype),
  shiftLeft: (a, b, dtype) => wrap(a << b, dtype),
  shiftRight: (a, b, dtype) => (dtype === 'u32' ? (a >>> 0) >>> b : a >> b),
};

/** Two's complement for integers, nothing for floats. */
export function wrap(x: number, dtype: DType): number {
  if (dtype === 'i32') return x | 0;
  if (dtype === 'u32') return x >>> 0;
  return x;
}

export function castValue(x: number, dtype: DType): number {
  switch (dtype) {
    case 'i32':
      return Math.trunc(x) | 0;
    case 'u32':
      return Math.trunc(x) >>> 0;
    case 'bool':
      return x !== 0 ? 1 : 0;
    case 'f32':
      return x;
    case 'f16':
    case 'bf16':
      return widenHalves(dtype, narrowToHalves(dtype, Float32Array.of(x)))[0]!;
    default:
      return dtype satisfies never;
  }
}
