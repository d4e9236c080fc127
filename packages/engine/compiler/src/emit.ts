import type { DType } from '@graftjs/tensor';
import { type Expression, formsOf, memoriesOf, memoryOfKey, walk } from './expression.ts';
import { halfStorage, isHalf, loadHalf, loadHalves, roundToHalf } from './half.ts';
import { type Atom, coefficient, dependsOn, type Form, formKey, maxOfForm } from './index-form.ts';
import { type IrValue, readerNode } from './ir.ts';
import {
  binaryText,
  helperOf,
  literal,
  scalarType,
  storageType,
  typeName,
  unaryText,
} from './wgsl-functions.ts';

/** The storage bindings of a kernel under construction, one for each memory it touches. */
export class Bindings {
  readonly #first: number;
  readonly #entries: { key: string; value: IrValue; vector: boolean }[] = [];

  readonly #readers: string[] = [];
  readonly #functions: (() => string)[] = [];

  readonly #replaced: { of: IrValue; by: IrValue } | undefined;

  constructor(first = 0, replaced?: { of: IrValue; by: IrValue }) {
    this.#first = first;
    this.#replaced = replaced;
  }
  #key(value: IrValue): string {
    const key = memoryOfKey(value);
    const replaced = this.#replaced;
    return replaced && key === memoryOfKey(replaced.of) ? memoryOfKey(replaced.by) : key;
  }
  /** Declares that `value`'s memory is accessed; scalar access anywhere makes the whole binding scalar. */
  declare(value: IrValue, vector: boolean): void {
    const read = readerNode(value);
    if (read) {
      for (const input of read.inputs) this.declare(input, false);
      if (this.#readers.includes(memoryOfKey(value))) return;
      const prefix = `graft_r${this.#readers.push(memoryOfKey(value)) - 1}_`;
      this.#functions.push(() =>
        read.reader.text(
          prefix,
          read.inputs.map((input) => this.name(input)),
        ),
      );
      return;
    }
    const key = this.#key(value);
    const known = this.#entries.find((e) => e.key === key);
    if (known) known.vector &&= vector;
    else this.#entries.push({ key, value: key === memoryOfKey(value) ? value : this.#replaced!.by, vector });
  }
  /** Calls of the functions that read a value without memory, which has been declared. */
  reader(value: IrValue): ReaderCalls | undefined {
    const read = readerNode(value);
    if (!read) return undefined;
    const prefix = `graft_r${this.#readers.indexOf(memoryOfKey(value))}_`;
    const layout = `vec4<u32>(${read.reader.layout.map((n) => `${n}u`).join(', ')})`;
    return {
      at: (position) => `${prefix}At(${position}, ${layout})`,
      four: (position) => `${prefix}Four(${position}, ${layout})`,
    };
  }
  name(value: IrValue): string {
    return `b${this.#first + this.#entries.findIndex((e) => e.key === this.#key(value))}`;
  }
  isVector(value: IrValue): boolean {
    return this.#entries.find((e) => e.key === this.#key(value))!.vector;
  }
  get values(): IrValue[] {
    return this.#entries.map((e) => e.value);
  }
  get count(): number {
    return this.#entries.length;
  }
  text(): string {
    return this.#entries
      .map(({ value, vector }, i) => {
        const type = bindingType(value.dtype, vector ? 4 : 1);
        return `@group(0) @binding(${this.#first + i}) var<storage, read_write> b${this.#first + i}: array<${type}>;\n`;
      })
      .concat(this.#functions.map((text) => text()))
      .join('');
  }
}

interface ReaderCalls {
  readonly at: (position: string) => string;
  readonly four: (position: string) => string;
}

/** The element type of a binding that is accessed one value or four values at a time. */
export const bindingType = (dtype: DType, width: 1 | 4): string =>
  isHalf(dtype) ? halfStorage(width) : typeName(storageType(dtype), width);

/** Whether four consecutive values of `digit` can be computed as one vector in this expression. */
export function canVectorize(root: Expression, digit: Atom): boolean {
  if (digit.extent % 4 !== 0) return false;
  let possible = true;
  walk(root, (e) => {
    for (const f of formsOfOne(e))
      if (f.terms.some(([a]) => a.opaque && dependsOn({ constant: 0, terms: [[a, 1]] }, digit)))
        possible = false;
    if (e.kind === 'choose' && dependsOn(e.at, digit)) possible = false;
    if (e.kind === 'take' && formsOf(e.row).some((f) => dependsOn(f, digit))) possible = false;
    if (e.kind === 'random' && dependsOn(e.at, digit) && !isAligned(e.at, digit)) possible = false;
  });
  return possible;
}

const formsOfOne = (e: Expression): Form[] =>
  e.kind === 'operation' || e.kind === 'constant' ? [] : e.kind === 'take' ? [e.rest] : [e.at];

/** The form moves by one with `digit`, and everything else in it is a multiple of four. */
export const isAligned = (f: Form, digit: Atom): boolean =>
  coefficient(f, digit) === 1 &&
  f.constant % 4 === 0 &&
  f.terms.every(([a, c]) => a.id === digit.id || c % 4 === 0);

export interface EmitOptions {
  readonly bindings: Bindings;
  /** The digit that lanes of a vector count, when `width` is 4. Its WGSL variable holds the first lane's value. */
  readonly vectorDigit?: Atom;
  readonly width: 1 | 4;
  /** WGSL text of the hole's value. */
  readonly hole?: string;
}

/** Declares every binding that an expression needs. */
export function declareBindings(root: Expression, bindings: Bindings, vectorDigit: Atom | undefined): void {
  walk(root, (e) => {
    if (e.kind === 'load')
      bindings.declare(e.value, vectorDigit !== undefined && isAligned(e.at, vectorDigit));
    if (e.kind === 'take')
      bindings.declare(
        e.table,
        vectorDigit !== undefined && isAligned(e.rest, vectorDigit) && e.width % 4 === 0,
      );
    if (e.kind === 'random') bindings.declare(e.seed, false);
  });
}

/** Writes the statements that compute an expression, each sub-expression once. */
export class Emitter {
  readonly lines: string[] = [];
  /** Helper functions that the text calls, for `helperText`. */
  readonly helpers = new Set<string>();
  readonly #options: EmitOptions;
  readonly #names = new Map<Expression, string>();
  readonly #indices = new Map<string, string>();
  readonly #prefix: string;

  constructor(options: EmitOptions, prefix = 'v') {
    this.#options = options;
    this.#prefix = prefix;
  }

  /** The WGSL name of the expression's value. */
  value(root: Expression): string {
    walk(root, (e) => {
      if (!this.#names.has(e)) this.#names.set(e, this.#bind(e));
    });
    return this.#names.get(root)!;
  }

  /** An index as a u32 expression. */
  index(f: Form): string {
    const key = formKey(f);
    const known = this.#indices.get(key);
    if (known) return known;
    const text = this.#formText(f);
    if (f.terms.length <= 1 && !f.terms.some(([a]) => a.opaque)) return text;
    const name = `i${this.#prefix}${this.#indices.size}`;
    this.lines.push(`let ${name} = ${text};`);
    this.#indices.set(key, name);
    return name;
  }

  #formText(f: Form): string {
    const parts = f.terms.map(([a, c]) => (c === 1 ? this.#atomText(a) : `${this.#atomText(a)} * ${c}u`));
    if (f.constant !== 0 || parts.length === 0) parts.push(`${f.constant}u`);
    return parts.length === 1 ? parts[0]! : `(${parts.join(' + ')})`;
  }

  #atomText(a: Atom): string {
    const { opaque } = a;
    if (!opaque) return a.id;
    const inner = this.index(opaque.of);
    switch (opaque.kind) {
      case 'divide':
        return `(${inner} / ${opaque.by}u)`;
      case 'modulo':
        return `(${inner} % ${opaque.by}u)`;
      case 'clamp':
        return `u32(clamp(i32(${inner}) - ${opaque.shift}, 0, ${a.extent - 1}))`;
      default:
        return opaque satisfies never;
    }
  }

  #bind(e: Expression): string {
    if (e.kind === 'constant') {
      const text = literal(e.number, e.dtype);
      return this.#options.width === 1 ? text : `${typeName(scalarType(e.dtype), 4)}(${text})`;
    }
    const text = this.#text(e);
    const name = `${this.#prefix}${this.#names.size}`;
    this.lines.push(`let ${name} = ${text};`);
    return name;
  }

  #text(e: Exclude<Expression, { kind: 'constant' }>): string {
    const { width, vectorDigit } = this.#options;
    const type = typeName(scalarType(e.dtype), width);
    switch (e.kind) {
      case 'hole':
        return this.#options.hole!;
      case 'load':
        return this.#load(e.value, e.at, '', e.dtype, true);
      case 'take': {
        const row = this.#names.get(e.row)!;
        const lane = width === 4 ? `${row}.x` : row;
        const name = `r${this.#prefix}${this.lines.length}`;
        this.lines.push(`let ${name} = u32(clamp(${lane}, 0i, ${e.rows - 1}i)) * ${e.width}u;`);
        return this.#load(e.table, e.rest, name, e.dtype, e.width % 4 === 0);
      }
      case 'index': {
        const base = `${scalarType(e.dtype)}(${this.index(e.at)})`;
        if (width === 1) return base;
        const step = vectorDigit ? coefficient(e.at, vectorDigit) : 0;
        const lanes = [0, step, 2 * step, 3 * step].map((n) => literal(n, e.dtype)).join(', ');
        return `(${type}(${base}) + ${type}(${lanes}))`;
      }
      case 'random': {
        this.helpers.add('philox');
        const seed = this.#options.bindings.name(e.seed);
        const at = this.index(e.at);
        const words = `graft_philox(${at} / 4u, ${e.stream >>> 0}u, vec2<u32>(${seed}[0], ${seed}[1]))`;
        if (width === 1) return `${words}[${at} % 4u]`;
        return vectorDigit && dependsOn(e.at, vectorDigit) ? words : `${type}(${words}[${at} % 4u])`;
      }
      case 'choose': {
        const at = this.index(e.at);
        const [inside, outside] = [this.#names.get(e.inside)!, this.#names.get(e.outside)!];
        const tests = [
          e.from > 0 ? `${at} >= ${e.from}u` : '',
          maxOfForm(e.at) >= e.to ? `${at} < ${e.to}u` : '',
        ].filter(Boolean);
        return tests.length ? `select(${outside}, ${inside}, ${tests.join(' && ')})` : inside;
      }
      case 'operation':
        return this.#operation(e);
      default:
        return e satisfies never;
    }
  }

  #operation(e: Extract<Expression, { kind: 'operation' }>): string {
    const names = e.inputs.map((input) => this.#names.get(input)!);
    const { width } = this.#options;
    const operandType = typeName(scalarType(e.inputs[0]!.dtype), width);
    if (e.name === 'narrow') return names[0]!;
    if (e.name === 'where') return `select(${names[2]}, ${names[1]}, ${names[0]})`;
    if (e.name === 'cast') {
      const from = e.inputs[0]!.dtype;
      const to = typeName(scalarType(e.dtype), width);
      if (e.dtype === 'bool') return `(${names[0]} != ${operandType}())`;
      const number = from === 'bool' ? `select(${to}(), ${to}(1), ${names[0]})` : `${to}(${names[0]})`;
      if (!isHalf(e.dtype) || from === e.dtype) return number;
      this.helpers.add(e.dtype);
      return roundToHalf(e.dtype, number, width);
    }
    const helper = helperOf[e.name];
    if (helper) this.helpers.add(`${helper}${width}`);
    const unary = unaryText[e.name];
    if (unary) return unary(names[0]!, operandType);
    const binary = binaryText[e.name];
    if (binary) return binary(names[0]!, names[1]!, operandType);
    throw new Error(`no WGSL for ${e.name}`);
  }

  /** @param alignedBase whether `base` is a multiple of four */
  #load(value: IrValue, at: Form, base: string, dtype: Expression['dtype'], alignedBase: boolean): string {
    const { bindings, width, vectorDigit } = this.#options;
    const index = this.index(at);
    const position = base ? `${base} + ${index}` : index;
    const reader = bindings.reader(value);
    if (reader) {
      if (width === 1) return reader.at(position);
      if (alignedBase && vectorDigit && isAligned(at, vectorDigit)) return reader.four(position);
      const step = vectorDigit ? coefficient(at, vectorDigit) : 0;
      if (step === 0) return `vec4<f32>(${reader.at(position)})`;
      return `vec4<f32>(${[0, 1, 2, 3].map((lane) => reader.at(`${position} + ${lane * step}u`)).join(', ')})`;
    }
    const name = bindings.name(value);
    const vector = bindings.isVector(value);
    if (isHalf(dtype)) this.helpers.add(dtype);
    /** One element. */
    const single = (p: string): string => {
      if (isHalf(dtype))
        return vector
          ? `${loadHalves(dtype, `${name}[(${p}) / 4u]`)}[(${p}) % 4u]`
          : loadHalf(dtype, name, p);
      const element = vector ? `${name}[(${p}) / 4u][(${p}) % 4u]` : `${name}[${p}]`;
      return dtype === 'bool' ? `(${element} != 0u)` : element;
    };
    if (width === 1) return single(position);
    const type = typeName(scalarType(dtype), 4);
    const step = vectorDigit ? coefficient(at, vectorDigit) : 0;
    if (step === 0) return `${type}(${single(position)})`;
    if (!vector)
      return `${type}(${[0, 1, 2, 3].map((lane) => single(`${position} + ${lane * step}u`)).join(', ')})`;
    const four = `${name}[(${position}) / 4u]`;
    if (isHalf(dtype)) return loadHalves(dtype, four);
    return dtype === 'bool' ? `(${four} != vec4<u32>())` : four;
  }
}

/** How many loads and operations an expression makes. */
export function costOf(root: Expression): { loads: number; operations: number; memories: Set<string> } {
  const cost = { loads: 0, operations: 0, memories: new Set<string>() };
  const count = (value: IrValue): void => {
    cost.loads++;
    if (readerNode(value)) cost.operations += 20;
    for (const memory of memoriesOf(value)) cost.memories.add(memoryOfKey(memory));
  };
  walk(root, (e) => {
    if (e.kind === 'load') count(e.value);
    else if (e.kind === 'take') count(e.table);
    else if (e.kind === 'random') {
      cost.operations += 20;
      cost.memories.add(memoryOfKey(e.seed));
    } else if (e.kind === 'operation') cost.operations++;
  });
  return cost;
}
