import { rowMajorStrides, type Shape } from '@graftjs/tensor';

/**
 * Index arithmetic of generated kernels. A kernel counts through *digits* (its output's coordinates, outermost
 * first); each access is a linear form over digits. Reshapes that do not fall on digit borders split digits
 * (see {@link SplitDigit}); what cannot be split becomes an opaque atom with its own text.
 */
export interface Atom {
  readonly id: string;
  /** Values lie in [0, extent). */
  readonly extent: number;
  readonly opaque?: Opaque;
}

export type Opaque =
  | { readonly kind: 'divide'; readonly of: Form; readonly by: number }
  | { readonly kind: 'modulo'; readonly of: Form; readonly by: number }
  | { readonly kind: 'clamp'; readonly of: Form; readonly shift: number };

/** constant + sum of coefficient * atom, all non-negative. */
export interface Form {
  readonly constant: number;
  readonly terms: readonly (readonly [Atom, number])[];
}

/** Thrown by {@link delinearize}: the kernel is to be generated again with `digit` split by `factor`. */
export class SplitDigit {
  readonly digit: Atom;
  readonly factor: number;

  constructor(digit: Atom, factor: number) {
    this.digit = digit;
    this.factor = factor;
  }
}

export const zeroForm: Form = { constant: 0, terms: [] };
export const atomForm = (atom: Atom): Form => ({ constant: 0, terms: [[atom, 1]] });

export const formKey = (f: Form): string =>
  `${f.terms.map(([a, c]) => `${a.id}*${c}`).join('+')}+${f.constant}`;

/** Adds forms; terms of one atom are summed. */
export function addForms(forms: readonly Form[]): Form {
  const terms = new Map<string, [Atom, number]>();
  let constant = 0;
  for (const f of forms) {
    constant += f.constant;
    for (const [atom, c] of f.terms) {
      const known = terms.get(atom.id);
      if (known) known[1] += c;
      else terms.set(atom.id, [atom, c]);
    }
  }
  return { constant, terms: [...terms.values()].filter(([, c]) => c !== 0).sort((x, y) => y[1] - x[1]) };
}

export const scaleForm = (f: Form, by: number): Form =>
  by === 0 ? zeroForm : { constant: f.constant * by, terms: f.terms.map(([a, c]) => [a, c * by] as const) };

export const shiftForm = (f: Form, by: number): Form =>
  by === 0 ? f : { constant: f.constant + by, terms: f.terms };

/** Greatest value of a form. */
export const maxOfForm = (f: Form): number =>
  f.terms.reduce((n, [a, c]) => n + c * (a.extent - 1), f.constant);

/** Row-major position of `coordinates` in `shape`. */
export function linearize(coordinates: readonly Form[], shape: Shape): Form {
  const strides = rowMajorStrides(shape);
  return addForms(coordinates.map((f, i) => scaleForm(f, strides[i]!)));
}

/** Coordinates in `shape` of the row-major position `linear`. */
export function delinearize(linear: Form, shape: Shape): Form[] {
  const strides = rowMajorStrides(shape);
  let rest = linear;
  return shape.map((extent, axis) => {
    if (extent === 1) return zeroForm;
    const stride = strides[axis]!;
    if (stride === 1) return rest;
    const quotient = rest.terms.filter(([, c]) => c % stride === 0);
    const remainder: Form = {
      constant: rest.constant % stride,
      terms: rest.terms.filter(([, c]) => c % stride !== 0),
    };
    if (maxOfForm(remainder) < stride) {
      const out: Form = {
        constant: Math.floor(rest.constant / stride),
        terms: quotient.map(([a, c]) => [a, c / stride] as const),
      };
      rest = remainder;
      return out;
    }
    for (const [atom, c] of remainder.terms) {
      const factor = stride / c;
      if (
        !atom.opaque &&
        Number.isInteger(factor) &&
        factor > 1 &&
        factor < atom.extent &&
        atom.extent % factor === 0
      )
        throw new SplitDigit(atom, factor);
    }
    const whole = rest;
    rest = atomForm(opaqueAtom({ kind: 'modulo', of: whole, by: stride }, stride));
    return atomForm(
      opaqueAtom({ kind: 'divide', of: whole, by: stride }, Math.floor(maxOfForm(whole) / stride) + 1),
    );
  });
}

export function opaqueAtom(opaque: Opaque, extent: number): Atom {
  const detail = opaque.kind === 'clamp' ? opaque.shift : opaque.by;
  return { id: `(${opaque.kind} ${detail} ${extent} ${formKey(opaque.of)})`, extent, opaque };
}

/** Whether `digit` takes part in a form, also inside opaque atoms. */
export const dependsOn = (f: Form, digit: Atom): boolean =>
  f.terms.some(([a]) => a.id === digit.id || (a.opaque !== undefined && dependsOn(a.opaque.of, digit)));

/** Coefficient of a digit outside opaque atoms. */
export const coefficient = (f: Form, digit: Atom): number =>
  f.terms.find(([a]) => a.id === digit.id)?.[1] ?? 0;

/** Rewrites digits of a form, also inside opaque atoms. */
export function substitute(f: Form, digits: ReadonlyMap<string, Form>): Form {
  return addForms([
    { constant: f.constant, terms: [] },
    ...f.terms.map(([atom, c]) => {
      const replacement = digits.get(atom.id);
      if (replacement) return scaleForm(replacement, c);
      if (!atom.opaque) return { constant: 0, terms: [[atom, c]] } as Form;
      const of = substitute(atom.opaque.of, digits);
      return scaleForm(atomForm(opaqueAtom({ ...atom.opaque, of } as Opaque, atom.extent)), c);
    }),
  ]);
}
