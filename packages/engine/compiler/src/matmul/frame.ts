import { halfStorage, storeHalves } from '../half.ts';
import {
  type Access,
  dtypeFunctions,
  elementType,
  type Lines,
  layoutParams,
  linesOf,
  loadWidth,
  readerText,
} from './access.ts';
import {
  batchSize,
  type MatmulDType,
  type MatmulEpilogue,
  type MatmulProblem,
  type OperandReader,
  type ResultPlace,
} from './problem.ts';

/**
 * What every family shares: bindings, uniform block, which tile of which slice a workgroup computes, and the
 * store. Shapes and strides are parameters, so that one text serves every shape of its form.
 */
export interface Form {
  readonly a: Access;
  readonly b: Access;
  /** Results are stored four at a time (the rows' length is a multiple of 4). */
  readonly vectorStore: boolean;
  /** Results lie where the problem's `place` says. */
  readonly placed: boolean;
  /** How elements lie in memory. A 16-bit result needs `vectorStore`. */
  readonly dtypes: { readonly a: MatmulDType; readonly b: MatmulDType; readonly c: MatmulDType };
  /** Of operands without memory. */
  readonly readers: { readonly a?: OperandReader | undefined; readonly b?: OperandReader | undefined };
}

export const formLabel = (form: Form): string =>
  `${operandLabel(form, 'a')}.${operandLabel(form, 'b')}.${form.dtypes.c === 'f32' ? '' : form.dtypes.c}${form.placed ? 'placed' : form.vectorStore ? 'store4' : 'store1'}`;

const operandLabel = (form: Form, name: 'a' | 'b'): string =>
  `${form.readers[name]?.reader.name ?? (form.dtypes[name] === 'f32' ? '' : form.dtypes[name])}${form[name]}`;

const identity: MatmulEpilogue = {
  declarations: '',
  extraBindings: 0,
  dtypes: [],
  functions: `fn epilogue4(value: vec4<f32>, index: u32) -> vec4<f32> { return value; }
fn epilogue1(value: f32, index: u32) -> f32 { return value; }`,
};

const PARAMS = [
  ...['m', 'n', 'k', 'kPart', 'tilesM', 'batch1', 'batches', 'slices'],
  ...['aOffset', 'aBatch0', 'aBatch1', 'aLine', 'aInner'],
  ...['bOffset', 'bBatch0', 'bBatch1', 'bLine', 'bInner'],
] as const;

const operandNames = ['a', 'b'] as const;

/** Words of the uniform block that say where a result lies. */
export const PLACE_PARAMS = ['rowSplit', 'rowHigh', 'rowLow', 'columnSplit', 'columnHigh'] as const;

/** The words {@link PLACE_PARAMS}, in units of four elements where they are strides. */
export const placeWords = (place: ResultPlace | undefined): number[] =>
  place
    ? [
        ...[place.row.split, place.row.high / 4, place.row.low / 4],
        ...[place.column.split, place.column.high / 4],
      ]
    : [];

/** Text of where four results lie, counted in fours. */
export const placeText = (row: string, column: string): string =>
  `(${row} / mm.rowSplit) * mm.rowHigh + (${row} % mm.rowSplit) * mm.rowLow + (${column} / mm.columnSplit) * mm.columnHigh + ((${column} % mm.columnSplit) >> 2u)`;

const paramNames = (form: Form): readonly string[] => [
  ...PARAMS,
  ...(form.placed ? PLACE_PARAMS : []),
  ...operandNames.flatMap((name) => (form.readers[name] ? layoutParams(name) : [])),
];

/** Declarations of bindings, uniform block and epilogue. */
export function header(form: Form, epilogue: MatmulEpilogue = identity): string {
  let binding = 3 + epilogue.extraBindings;
  const readers = operandNames.map((name) => {
    const reader = form.readers[name];
    if (!reader) return '';
    const text = readerText(name, reader, binding);
    binding += reader.inputs.length - 1;
    return text;
  });
  return `struct MmParams { ${paramNames(form)
    .map((p) => `${p}: u32`)
    .join(', ')} }
@group(0) @binding(0) var<storage, read_write> a: array<${elementType(form, 'a')}>;
@group(0) @binding(1) var<storage, read_write> b: array<${elementType(form, 'b')}>;
@group(0) @binding(2) var<storage, read_write> c: array<${resultType(form)}>;
${dtypeFunctions([...Object.values(form.dtypes), ...epilogue.dtypes])}${epilogue.declarations}
${readers.join('')}@group(0) @binding(${binding}) var<uniform> mm: MmParams;
${epilogue.functions}
${storeFunction(form)}`;
}

const resultType = ({ dtypes, vectorStore }: Form): string => {
  if (dtypes.c !== 'f32') return halfStorage(4);
  return vectorStore ? 'vec4<f32>' : 'f32';
};

/** The text of what is stored of four results. */
export const storedText = (dtype: MatmulDType, value: string): string =>
  dtype === 'f32' ? value : storeHalves(dtype, value);

/** `mmStore(base, row, column, value)`: four neighbours of a row, those inside the result. */
function storeFunction(form: Form): string {
  const at = form.placed ? placeText('row', 'column') : 'index >> 2u';
  const body = form.vectorStore
    ? `  if (row < mm.m && column < mm.n) { c[${at}] = ${storedText(form.dtypes.c, 'epilogue4(value, index)')}; }`
    : `  if (row >= mm.m) { return; }
  for (var i = 0u; i < min(4u, max(mm.n, column) - column); i++) {
    c[index + i] = epilogue1(value[i], index + i);
  }`;
  return `fn mmStore(base: u32, row: u32, column: u32, value: vec4<f32>) {
  let index = base + row * mm.n + column;
${body}
}`;
}

/** The first lines of `main`: `tileM`, `tileN`, operand bases, the inner range and where the slice is stored. */
export const PROLOGUE = `  let flat = group.y + group.z * groups.y;
  let slice = flat / mm.tilesM;
  if (slice >= mm.slices) { return; }
  let tileM = flat % mm.tilesM;
  let tileN = group.x;
  let z0 = (slice % mm.batches) / mm.batch1;
  let z1 = slice % mm.batch1;
  let aBase = mm.aOffset + z0 * mm.aBatch0 + z1 * mm.aBatch1;
  let bBase = mm.bOffset + z0 * mm.bBatch0 + z1 * mm.bBatch1;
  let cBase = slice * mm.m * mm.n;
  let start = (slice / mm.batches) * mm.kPart;
  let end = min(mm.k, start + mm.kPart);`;

export const BUILTINS = '@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>';

/** Inner extent of each part; a multiple of 4, so that no vec4 belongs to two parts. */
export const partExtent = (k: number, parts: number): number =>
  parts === 1 ? k : Math.ceil(k / parts / 4) * 4;

/** The uniform block. */
export function packParams(
  problem: MatmulProblem,
  form: Form,
  tile: { readonly rows: number },
  parts: number,
): Uint32Array<ArrayBuffer> {
  const operand = (lines: Lines, access: Access): number[] => {
    const width = loadWidth(access);
    return [
      lines.offset / width,
      lines.batch[0] / width,
      lines.batch[1] / width,
      access === 'line4' || lines.extent === 1 ? 0 : lines.lineStride / width,
      access === 'inner4' || lines.inner === 1 ? 0 : lines.innerStride / width,
    ];
  };
  const batches = batchSize(problem);
  const words = [
    ...[problem.m, problem.n, problem.k, partExtent(problem.k, parts)],
    ...[Math.ceil(problem.m / tile.rows), problem.batch[1], batches, batches * parts],
    ...operand(linesOf(problem, 'a'), form.a),
    ...operand(linesOf(problem, 'b'), form.b),
    ...(form.placed ? placeWords(problem.place) : []),
    ...operandNames.flatMap((name) => form.readers[name]?.reader.layout ?? []),
  ];
  const params = new Uint32Array(Math.ceil(words.length / 4) * 4);
  params.set(words);
  return params;
}

/** The grid: columns of tiles, then rows of tiles and slices, folded into two axes. */
export function gridOf(
  problem: MatmulProblem,
  tile: { readonly rows: number; readonly columns: number },
  parts: number,
  limit: number,
): readonly [number, number, number] {
  const x = Math.ceil(problem.n / tile.columns);
  const flat = Math.ceil(problem.m / tile.rows) * batchSize(problem) * parts;
  const z = Math.max(1, Math.ceil(flat / limit));
  if (x > limit || z > limit)
    throw new RangeError(
      `matmul ${problem.m}x${problem.k}x${problem.n}, batch ${problem.batch.join('x')}: needs a grid of ${x} x ${flat} workgroups, the device allows ${limit} along an axis; compute it in smaller pieces`,
    );
  return [x, Math.ceil(flat / z), z];
}
