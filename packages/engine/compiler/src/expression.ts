import type { DType, Shape } from '@graftjs/tensor';
import {
  type Atom,
  addForms,
  atomForm,
  delinearize,
  type Form,
  formKey,
  linearize,
  maxOfForm,
  opaqueAtom,
  scaleForm,
  shiftForm,
  substitute,
  zeroForm,
} from './index-form.ts';
import { type IrValue, readerNode, valueKey } from './ir.ts';

/** What one element of a kernel's result is computed from: loads at linear forms, and operations on them. */
export type Expression =
  | { readonly kind: 'load'; readonly value: IrValue; readonly at: Form; readonly dtype: DType }
  | { readonly kind: 'constant'; readonly number: number; readonly dtype: DType }
  | { readonly kind: 'index'; readonly at: Form; readonly dtype: DType }
  | {
      readonly kind: 'random';
      readonly seed: IrValue;
      readonly stream: number;
      readonly at: Form;
      readonly dtype: DType;
    }
  | {
      readonly kind: 'take';
      readonly table: IrValue;
      readonly row: Expression;
      readonly rows: number;
      readonly width: number;
      readonly rest: Form;
      readonly dtype: DType;
    }
  | {
      readonly kind: 'choose';
      readonly at: Form;
      readonly from: number;
      readonly to: number;
      readonly inside: Expression;
      readonly outside: Expression;
      readonly dtype: DType;
    }
  | {
      readonly kind: 'operation';
      readonly name: string;
      readonly inputs: readonly Expression[];
      readonly dtype: DType;
    }
  /** The value a matrix product just computed, in its epilogue. */
  | { readonly kind: 'hole'; readonly at: Form; readonly dtype: DType };

export interface ResolveOptions {
  /** Values that have memory: they are loaded, not computed again. */
  readonly isMaterialized: (value: IrValue) => boolean;
  readonly hole?: IrValue;
}

/** The memory that a materialised value lives in: reshapes are the same memory. */
export function memoryOf(value: IrValue): IrValue {
  let v = value;
  while (v.node.name === 'reshape') v = v.node.inputs[0]!;
  return v;
}

/** The memories that a value is loaded from: its own, or those that its reader reads. */
export function memoriesOf(value: IrValue): Memories {
  const [first, ...rest] = readerNode(value)?.inputs ?? [value];
  return [memoryOf(first!), ...rest.map(memoryOf)];
}

/** One memory or more. */
export type Memories = readonly [IrValue, ...IrValue[]];

export const memoryOfKey = (value: IrValue): string => valueKey(memoryOf(value));

/** The expression of `root` at `coordinates`; with `force` the root itself is computed although it has memory. */
export function resolve(
  root: IrValue,
  coordinates: readonly Form[],
  options: ResolveOptions,
  force = true,
): Expression {
  const memo = new Map<string, Expression>();
  const visit = (value: IrValue, at: readonly Form[], compute: boolean): Expression => {
    const key = `${valueKey(value)}@${at.map(formKey).join()}`;
    const known = memo.get(key);
    if (known && !compute) return known;
    const made = make(value, at, compute);
    memo.set(key, made);
    return made;
  };

  const make = (value: IrValue, at: readonly Form[], compute: boolean): Expression => {
    const { node, dtype, shape } = value;
    if (options.hole && valueKey(options.hole) === valueKey(memoryOf(value)))
      return { kind: 'hole', at: linearize(at, shape), dtype };
    if (!compute && options.isMaterialized(value))
      return { kind: 'load', value, at: linearize(at, shape), dtype };
    const [x] = node.inputs;
    const { attrs } = node;
    switch (node.name) {
      case 'fill':
        return { kind: 'constant', number: attrs.value as number, dtype };
      case 'iota':
        return { kind: 'index', at: at[attrs.axis as number]!, dtype };
      case 'randomBits':
        return { kind: 'random', seed: x!, stream: attrs.stream as number, at: linearize(at, shape), dtype };
      case 'reshape':
        return visit(x!, delinearize(linearize(at, shape), x!.shape), false);
      case 'permute': {
        const inner: Form[] = [];
        (attrs.axes as number[]).forEach((axis, i) => {
          inner[axis] = at[i]!;
        });
        return visit(x!, inner, false);
      }
      case 'expand':
        return visit(
          x!,
          at.map((f, i) => (x!.shape[i] === 1 ? zeroForm : f)),
          false,
        );
      case 'slice':
        return visit(
          x!,
          at.map((f, i) => shiftForm(f, (attrs.starts as number[])[i]!)),
          false,
        );
      case 'pad': {
        const low = attrs.low as number[];
        const axes = shape.flatMap((d, i) => (d === x!.shape[i] ? [] : [i]));
        const inner = at.map((f, i) => (axes.includes(i) ? clamped(f, low[i]!, x!.shape[i]!) : f));
        const zero: Expression = { kind: 'constant', number: 0, dtype };
        return axes.reduce<Expression>(
          (inside, i) => ({
            kind: 'choose',
            at: at[i]!,
            from: low[i]!,
            to: low[i]! + x!.shape[i]!,
            inside,
            outside: zero,
            dtype,
          }),
          visit(x!, inner, false),
        );
      }
      case 'concat': {
        const axis = attrs.axis as number;
        let start = shape[axis]!;
        let outside: Expression | undefined;
        for (let k = node.inputs.length - 1; k >= 0; k--) {
          const part = node.inputs[k]!;
          start -= part.shape[axis]!;
          const inside = visit(
            part,
            at.map((f, i) => (i === axis ? clamped(f, start, part.shape[axis]!) : f)),
            false,
          );
          outside = outside
            ? {
                kind: 'choose',
                at: at[axis]!,
                from: start,
                to: start + part.shape[axis]!,
                inside,
                outside,
                dtype,
              }
            : inside;
        }
        return outside!;
      }
      case 'take': {
        const [table, indices] = node.inputs as [IrValue, IrValue];
        const lead = indices.shape.length;
        const rest = table.shape.slice(1);
        const width = rest.reduce((n, d) => n * d, 1);
        return {
          kind: 'take',
          table,
          row: visit(indices, at.slice(0, lead), false),
          rows: table.shape[0]!,
          width,
          rest: linearize(at.slice(lead), rest),
          dtype,
        };
      }
      default:
        return {
          kind: 'operation',
          name: node.name,
          inputs: node.inputs.map((input) => visit(input, at, false)),
          dtype,
        };
    }
  };
  return visit(root, coordinates, force);
}

/** `f - low`, held inside [0, extent): for positions that may lie outside, whose value is then not used. */
function clamped(f: Form, low: number, extent: number): Form {
  if (low === 0 && maxOfForm(f) < extent) return f;
  if (extent === 1) return zeroForm;
  return atomForm(opaqueAtom({ kind: 'clamp', of: f, shift: low }, extent));
}

/** Calls `visit` for each distinct sub-expression, inputs first. */
export function walk(root: Expression, visit: (e: Expression) => void): void {
  const seen = new Set<Expression>();
  const go = (e: Expression): void => {
    if (seen.has(e)) return;
    seen.add(e);
    for (const child of childrenOf(e)) go(child);
    visit(e);
  };
  go(root);
}

export function childrenOf(e: Expression): readonly Expression[] {
  if (e.kind === 'operation') return e.inputs;
  if (e.kind === 'choose') return [e.inside, e.outside];
  if (e.kind === 'take') return [e.row];
  return [];
}

/** The linear forms an expression holds. */
export function formsOf(root: Expression): Form[] {
  const forms: Form[] = [];
  walk(root, (e) => {
    if (e.kind === 'take') forms.push(e.rest);
    else if (e.kind !== 'operation' && e.kind !== 'constant') forms.push(e.at);
  });
  return forms;
}

/** Rewrites the digits of every form. */
export function substituteDigits(root: Expression, digits: ReadonlyMap<string, Form>): Expression {
  const memo = new Map<Expression, Expression>();
  const go = (e: Expression): Expression => {
    const known = memo.get(e);
    if (known) return known;
    const made: Expression =
      e.kind === 'operation'
        ? { ...e, inputs: e.inputs.map(go) }
        : e.kind === 'constant'
          ? e
          : e.kind === 'take'
            ? { ...e, row: go(e.row), rest: substitute(e.rest, digits) }
            : e.kind === 'choose'
              ? { ...e, at: substitute(e.at, digits), inside: go(e.inside), outside: go(e.outside) }
              : { ...e, at: substitute(e.at, digits) };
    memo.set(e, made);
    return made;
  };
  return go(root);
}

let digitCount = 0;

/** One digit for each axis, outermost first, with the coordinates they give. */
export function digitsOf(shape: Shape): { digits: Atom[]; coordinates: Form[] } {
  const digits: Atom[] = [];
  const coordinates = shape.map((extent) => {
    if (extent === 1) return zeroForm;
    const digit: Atom = { id: `d${digitCount++}`, extent };
    digits.push(digit);
    return atomForm(digit);
  });
  return { digits, coordinates };
}

/** Replaces one digit by two: `high * factor + low`. */
export function splitDigit(
  digits: readonly Atom[],
  coordinates: readonly Form[],
  digit: Atom,
  factor: number,
) {
  const high: Atom = { id: `d${digitCount++}`, extent: digit.extent / factor };
  const low: Atom = { id: `d${digitCount++}`, extent: factor };
  const form = addForms([scaleForm(atomForm(high), factor), atomForm(low)]);
  const map = new Map([[digit.id, form]]);
  return {
    digits: digits.flatMap((d) => (d.id === digit.id ? [high, low] : [d])),
    coordinates: coordinates.map((f) => substitute(f, map)),
  };
}
