import { memoryOf, walk } from './expression.ts';
import { expressionOf, type PlacedExpression } from './fusion.ts';
import { type Atom, coefficient, type Form } from './index-form.ts';
import { type IrValue, valueKey } from './ir.ts';
import type { ResultPlace } from './matmul/index.ts';

/** A value's expression in which a product is a hole, over digits in the product's order. */
export interface AfterProduct {
  readonly expression: PlacedExpression['expression'];
  readonly digits: readonly Atom[];
  /** Where the value's elements lie, counted in the product's rows and columns; undefined where the order is the same. */
  readonly place?: ResultPlace;
}

/**
 * A value as what follows a product `[rows, n]`, element by element: undefined where it reads the product elsewhere than at
 * one element each, or where its elements lie in an order that {@link ResultPlace} cannot say.
 */
export function afterProduct(
  value: IrValue,
  product: IrValue,
  isMaterialized: (v: IrValue) => boolean,
): AfterProduct | undefined {
  const { expression, digits } = expressionOf(value, isMaterialized, product);
  let hole: Form | undefined;
  let fits = true;
  walk(expression, (e) => {
    if (e.kind === 'take' && valueKey(memoryOf(e.table)) === valueKey(product)) fits = false;
    if (e.kind !== 'hole') return;
    const terms = new Map(e.at.terms.map(([a, c]) => [a.id, c]));
    const same = hole === undefined || digits.every((d) => coefficient(hole!, d) === terms.get(d.id));
    if (e.at.constant !== 0 || terms.size !== digits.length || !same) fits = false;
    hole ??= e.at;
  });
  const read = hole;
  if (!fits || !read) return undefined;
  const inOrder = [...digits].sort((x, y) => coefficient(read, y) - coefficient(read, x));
  let stride = 1;
  for (const digit of [...inOrder].reverse()) {
    if (coefficient(read, digit) !== stride) return undefined;
    stride *= digit.extent;
  }
  if (inOrder.every((digit, i) => digit === digits[i])) return { expression, digits };
  const place = placeOf(inOrder, digits, product.shape.at(-1)!);
  return place && { expression, digits: inOrder, place };
}

/** Digits in the product's order, outermost first, as two of its rows and two of its columns. */
function placeOf(inOrder: readonly Atom[], inResult: readonly Atom[], n: number): ResultPlace | undefined {
  const strides = new Map<Atom, number>();
  let stride = 1;
  for (const digit of [...inResult].reverse()) {
    strides.set(digit, stride);
    stride *= digit.extent;
  }
  const columns: Atom[] = [];
  const rows = [...inOrder];
  for (let width = 1; width < n; ) {
    const digit = rows.pop()!;
    columns.unshift(digit);
    width *= digit.extent;
    if (width > n) return undefined;
  }
  const [row, column] = [rows, columns].map((part) => twoOf(part, strides));
  return row && column && { row, column };
}

/** The digits' positions as `high * split + low`, each with its stride; undefined where that takes more than two. */
function twoOf(digits: readonly Atom[], strides: ReadonlyMap<Atom, number>): ResultPlace['row'] | undefined {
  const groups: { extent: number; stride: number }[] = [];
  for (const digit of digits) {
    const stride = strides.get(digit)!;
    const last = groups.at(-1);
    if (last && last.stride === stride * digit.extent) {
      last.extent *= digit.extent;
      last.stride = stride;
    } else groups.push({ extent: digit.extent, stride });
  }
  if (groups.length > 2) return undefined;
  const low = groups.at(-1) ?? { extent: 1, stride: 0 };
  const high = groups.length === 2 ? groups[0]! : { extent: 1, stride: 0 };
  return { split: low.extent, high: high.stride, low: low.stride };
}
