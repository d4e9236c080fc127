import type { DType } from '../dtype.ts';
import { isFloat } from '../dtype.ts';
import { applyOp, type Op, type Tensor, type Vjp } from '../graph.ts';
import { broadcastShapes, ShapeError, sameShape } from '../shape.ts';
import { fill } from './creation.ts';
import { broadcastTo } from './movement.ts';

/** Operands: a tensor, or a number that becomes a constant of the other operand's dtype. */
export type Operand = Tensor | number;

export type UnaryName =
  | 'neg'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'reciprocal'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'erf'
  | 'abs'
  | 'floor'
  | 'not';
export type BinaryName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'pow'
  | 'maximum'
  | 'minimum'
  | 'less'
  | 'equal'
  | 'and'
  | 'or'
  | 'bitAnd'
  | 'bitOr'
  | 'bitXor'
  | 'shiftLeft'
  | 'shiftRight';

const unaryOp = (name: UnaryName, vjp?: Vjp): Op => ({
  name,
  infer: ([x]) => {
    if (name !== 'not' && name !== 'neg' && name !== 'abs' && !isFloat(x!.dtype))
      throw new ShapeError(name, [x!.shape], `needs a floating-point tensor, got ${x!.dtype}`);
    return [x!];
  },
  ...(vjp ? { vjp } : {}),
});

const comparisons = new Set<string>(['less', 'equal']);
const binaryOp = (name: BinaryName, vjp?: Vjp): Op => ({
  name,
  infer: ([a, b]) => {
    if (!sameShape(a!.shape, b!.shape))
      throw new ShapeError(name, [a!.shape, b!.shape], 'needs equal shapes');
    if (a!.dtype !== b!.dtype)
      throw new ShapeError(name, [a!.shape, b!.shape], `needs equal dtypes, got ${a!.dtype} and ${b!.dtype}`);
    return [{ shape: a!.shape, dtype: comparisons.has(name) ? 'bool' : a!.dtype }];
  },
  ...(vjp ? { vjp } : {}),
});

const rule =
  (f: (dy: Tensor, x: Tensor, y: Tensor) => Tensor): Vjp =>
  ({ inputs, outputs, cotangents }) => [f(cotangents[0]!, inputs[0]!, outputs[0]!)];

type PairRule = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor;
const rules =
  (da: PairRule, db: PairRule): Vjp =>
  ({ inputs: [a, b], outputs: [y], cotangents: [dy], needs }) => [
    needs[0] ? da(dy!, a!, b!, y!) : undefined,
    needs[1] ? db(dy!, a!, b!, y!) : undefined,
  ];

/** 2 / sqrt(pi): the derivative of erf at 0. */
const erfSlope = 2 / Math.sqrt(Math.PI);

/** Every unary primitive with its gradient rule. */
export const unaryOps: Readonly<Record<UnaryName, Op>> = {
  neg: unaryOp(
    'neg',
    rule((dy) => neg(dy)),
  ),
  exp: unaryOp(
    'exp',
    rule((dy, _, y) => mul(dy, y)),
  ),
  log: unaryOp(
    'log',
    rule((dy, x) => div(dy, x)),
  ),
  sqrt: unaryOp(
    'sqrt',
    rule((dy, _, y) => div(mul(dy, 0.5), y)),
  ),
  rsqrt: unaryOp(
    'rsqrt',
    rule((dy, _, y) => mul(mul(dy, -0.5), mul(y, mul(y, y)))),
  ),
  reciprocal: unaryOp(
    'reciprocal',
    rule((dy, _, y) => neg(mul(dy, mul(y, y)))),
  ),
  sin: unaryOp(
    'sin',
    rule((dy, x) => mul(dy, cos(x))),
  ),
  cos: unaryOp(
    'cos',
    rule((dy, x) => neg(mul(dy, sin(x)))),
  ),
  tanh: unaryOp(
    'tanh',
    rule((dy, _, y) => mul(dy, sub(1, mul(y, y)))),
  ),
  erf: unaryOp(
    'erf',
    rule((dy, x) => mul(mul(dy, erfSlope), exp(neg(mul(x, x))))),
  ),
  abs: unaryOp(
    'abs',
    rule((dy, x) => where(less(x, 0), neg(dy), dy)),
  ),
  floor: unaryOp('floor'),
  not: unaryOp('not'),
};

/** Every binary primitive with its gradient rules. At ties, maximum and minimum give the gradient to `b`. */
export const binaryOps: Readonly<Record<BinaryName, Op>> = {
  add: binaryOp(
    'add',
    rules(
      (dy) => dy,
      (dy) => dy,
    ),
  ),
  sub: binaryOp(
    'sub',
    rules(
      (dy) => dy,
      (dy) => neg(dy),
    ),
  ),
  mul: binaryOp(
    'mul',
    rules(
      (dy, _a, b) => mul(dy, b),
      (dy, a) => mul(dy, a),
    ),
  ),
  div: binaryOp(
    'div',
    rules(
      (dy, _a, b) => div(dy, b),
      (dy, _a, b, y) => neg(div(mul(dy, y), b)),
    ),
  ),
  pow: binaryOp(
    'pow',
    rules(
      (dy, a, b) => mul(dy, mul(b, pow(a, sub(b, 1)))),
      (dy, a, _b, y) => mul(dy, mul(y, log(a))),
    ),
  ),
  maximum: binaryOp(
    'maximum',
    rules(
      (dy, a, b) => where(less(b, a), dy, 0),
      (dy, a, b) => where(less(b, a), 0, dy),
    ),
  ),
  minimum: binaryOp(
    'minimum',
    rules(
      (dy, a, b) => where(less(a, b), dy, 0),
      (dy, a, b) => where(less(a, b), 0, dy),
    ),
  ),
  less: binaryOp('less'),
  equal: binaryOp('equal'),
  and: binaryOp('and'),
  or: binaryOp('or'),
  bitAnd: binaryOp('bitAnd'),
  bitOr: binaryOp('bitOr'),
  bitXor: binaryOp('bitXor'),
  shiftLeft: binaryOp('shiftLeft'),
  shiftRight: binaryOp('shiftRight'),
};

export const whereOp: Op = {
  name: 'where',
  infer: ([condition, a, b]) => {
    if (condition!.dtype !== 'bool')
      throw new ShapeError('where', [condition!.shape], `needs a bool condition, got ${condition!.dtype}`);
    if (a!.dtype !== b!.dtype)
      throw new ShapeError(
        'where',
        [a!.shape, b!.shape],
        `needs equal dtypes, got ${a!.dtype} and ${b!.dtype}`,
      );
    if (!sameShape(condition!.shape, a!.shape) || !sameShape(a!.shape, b!.shape))
      throw new ShapeError('where', [condition!.shape, a!.shape, b!.shape], 'needs equal shapes');
    return [a!];
  },
  vjp: ({ inputs: [condition], cotangents: [dy], needs }) => [
    undefined,
    needs[1] ? where(condition!, dy!, 0) : undefined,
    needs[2] ? where(condition!, 0, dy!) : undefined,
  ],
};

export const castOp: Op = {
  name: 'cast',
  infer: ([x], attrs) => [{ shape: x!.shape, dtype: attrs.dtype as DType }],
  vjp: ({ inputs: [x], cotangents: [dy] }) => [isFloat(x!.dtype) ? cast(dy!, x!.dtype) : undefined],
};

/** Cuts the gradient: the value of `x`, through which nothing is differentiated. */
export const detachOp: Op = { name: 'detach', infer: ([x]) => [x!], vjp: () => [undefined] };

const unary =
  (name: UnaryName) =>
  (x: Tensor): Tensor =>
    applyOp(unaryOps[name], [x])[0]!;

function pair(name: string, a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a === 'number' && typeof b === 'number')
    throw new ShapeError(name, [[], []], 'needs at least one tensor');
  const like = (typeof a === 'number' ? b : a) as Tensor;
  const x = typeof a === 'number' ? fill(a, like.shape, like.dtype) : a;
  const y = typeof b === 'number' ? fill(b, like.shape, like.dtype) : b;
  const shape = broadcastShapes(name, x.shape, y.shape);
  return [broadcastTo(x, shape), broadcastTo(y, shape)];
}

const binary =
  (name: BinaryName) =>
  (a: Operand, b: Operand): Tensor =>
    applyOp(binaryOps[name], pair(name, a, b))[0]!;

export const neg = unary('neg');
export const exp = unary('exp');
export const log = unary('log');
export const sqrt = unary('sqrt');
/** 1 / sqrt(x). */
export const rsqrt = unary('rsqrt');
export const reciprocal = unary('reciprocal');
export const sin = unary('sin');
export const cos = unary('cos');
export const tanh = unary('tanh');
export const erf = unary('erf');
export const abs = unary('abs');
export const floor = unary('floor');
/** Logical not of a bool tensor. */
export const not = unary('not');

export const add = binary('add');
export const sub = binary('sub');
export const mul = binary('mul');
export const div = binary('div');
/** a ** b, for a > 0. */
export const pow = binary('pow');
export const maximum = binary('maximum');
export const minimum = binary('minimum');
/** a < b, as bool. */
export const less = binary('less');
export const equal = binary('equal');
export const and = binary('and');
export const or = binary('or');
export const bitAnd = binary('bitAnd');
export const bitOr = binary('bitOr');
export const bitXor = binary('bitXor');
export const shiftLeft = binary('shiftLeft');
/** Logical shift for u32, arithmetic for i32. */
export const shiftRight = binary('shiftRight');

/** `condition ? a : b`, element by element, broadcast together. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [x, y] = pair('where', a, b);
  const shape = broadcastShapes('where', condition.shape, x.shape);
  return applyOp(whereOp, [broadcastTo(condition, shape), broadcastTo(x, shape), broadcastTo(y, shape)])[0]!;
}

/** The values of `x` as `dtype`. Float to integer truncates; to bool is `x != 0`. */
export const cast = (x: Tensor, dtype: DType): Tensor =>
  x.dtype === dtype ? x : applyOp(castOp, [x], { dtype })[0]!;

export const detach = (x: Tensor): Tensor => applyOp(detachOp, [x])[0]!;

/** Names of the primitives that work element by element on equal shapes. */
export const isElementwise = (op: Op): boolean => elementwise.has(op);
const elementwise: ReadonlySet<Op> = new Set([
  ...Object.values(unaryOps),
  ...Object.values(binaryOps),
  whereOp,
  castOp,
  detachOp,
]);
