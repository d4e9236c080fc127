import type { DType, ElementReader, KernelRequest, Shape } from '@graftjs/tensor';
import { sizeOf } from '@graftjs/tensor';
import { formOf, nestedBlock, type QuantizedForm, type QuantizedFormat, quantizedLayout } from './formats.ts';

/**
 * WGSL that reads one element, or four neighbours, of a quantized weight: a word of codes, the block's factor, and a
 * few operations. `places` is: first words of the second plane and of the bytes, elements of a block.
 */
export function dequantizeReader({ inputs, attrs }: KernelRequest): ElementReader {
  const format = attrs.format as QuantizedFormat;
  const form = formOf(format);
  const block = attrs.block as number;
  const scaleType = inputs[1]!.dtype;
  const tableType = inputs[2]?.dtype;
  const layout = quantizedLayout(format, sizeOf(attrs.shape as Shape), block, tableType !== undefined);
  const shift = Number.isInteger(Math.log2(block)) ? Math.log2(block) : undefined;
  const name = [
    format,
    scaleType === 'f32' ? '' : scaleType,
    tableType ? 'nested' : '',
    tableType === undefined || tableType === 'f32' ? '' : tableType,
    block === form.block ? '' : (shift ?? (block % 4 === 0 ? 'rows' : 'ragged')),
  ].join('');
  const words = { form, scaleType, tableType, block, shift };
  return {
    name,
    layout: [layout.planeStarts[1] ?? 0, layout.bytesStart, block, 0],
    text: (prefix, bindings) => readerText(prefix, bindings, words),
  };
}

interface Variant {
  readonly form: QuantizedForm;
  readonly scaleType: DType;
  /** Of the table of nested factors, where they are. */
  readonly tableType: DType | undefined;
  readonly block: number;
  /** log2 of the block, where it has one: it is part of the text then. */
  readonly shift: number | undefined;
}

function readerText(prefix: string, bindings: readonly string[], variant: Variant): string {
  const [codes, scales, table] = bindings as [string, string, string | undefined];
  const { form, block } = variant;
  const four =
    block % 4 === 0
      ? `fn ${prefix}Four(i: u32, places: vec4<u32>) -> vec4<f32> {
  return ${prefix}Scaled(${prefix}Value(${codesText(codes, form)}), ${prefix}Block(i, places), places);
}`
      : `fn ${prefix}Four(i: u32, places: vec4<u32>) -> vec4<f32> {
  return vec4(${[0, 1, 2, 3].map((k) => `${prefix}At(i + ${k}u, places)`).join(', ')});
}`;
  return `
fn ${prefix}Value(q: vec4<u32>) -> vec4<f32> { ${valueText(form)} }
${blockText(prefix, variant)}
${scaledText(prefix, codes, scales, table, variant)}
fn ${prefix}At(index: u32, places: vec4<u32>) -> f32 {
  let i = index & ~3u;
  let q = ${codesText(codes, form)}[index & 3u];
  return ${prefix}Scaled(${prefix}Value(vec4(q)), ${prefix}Block(index, places), places).x;
}
${four}
`;
}

/** Four codes at i, a multiple of 4. */
function codesText(codes: string, { planes }: QuantizedForm): string {
  let at = 0;
  return planes
    .map((bits, plane) => {
      const perWord = 32 / bits;
      const start = plane === 0 ? '' : 'places.x + ';
      const word = `${codes}[${start}(i >> ${Math.log2(perWord)}u)]`;
      const first = perWord === 4 ? word : `(${word} >> ((i & ${perWord - 4}u) * ${bits}u))`;
      // the first of two 4-bit codes is the upper half of their byte
      const places = [0, 1, 2, 3].map((k) => `${bits * (bits === 4 ? k ^ 1 : k)}u`);
      const part = `((vec4(${first}) >> vec4(${places.join(', ')})) & vec4(${2 ** bits - 1}u))`;
      const text = at === 0 ? part : `(${part} << vec4(${at}u))`;
      at += bits;
      return text;
    })
    .join(' | ')
    .replace(/^(.*)$/, '($1)');
}

function valueText({ code }: QuantizedForm): string {
  switch (code.kind) {
    case 'unsigned':
      return `return vec4<f32>(q)${code.zero === 0 ? '' : ` - ${code.zero}.0`};`;
    case 'signed':
      return `return vec4<f32>(bitcast<vec4<i32>>(q << vec4(24u)) >> vec4(24u))${code.divisor === 1 ? '' : ` / ${code.divisor}.0`};`;
    case 'table':
      return tableText(code.table);
    default:
      return code satisfies never;
  }
}

/** Halving a table of sixteen by one bit after another: an index into an array costs CPU adapters a gather. */
function tableText(table: readonly number[]): string {
  const lines = [0, 1, 2, 3].map((bit) => `let h${bit} = (q & vec4(${1 << bit}u)) != vec4(0u);`);
  let names = table.map((value) => `vec4(${literal(value)})`);
  for (let bit = 0; names.length > 1; bit++) {
    const pairs = names.length / 2;
    names = Array.from({ length: pairs }, (_, i) => {
      lines.push(`let t${bit}_${i} = select(${names[2 * i]}, ${names[2 * i + 1]}, h${bit});`);
      return `t${bit}_${i}`;
    });
  }
  return `${lines.join(' ')} return ${names[0]};`;
}

const literal = (value: number): string => {
  const text = `${Math.fround(value)}`;
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
};

/** The block of element i. Division by what is no power of two goes through f32, corrected: integers have no such instruction. */
function blockText(prefix: string, { shift }: Variant): string {
  const head = `fn ${prefix}Block(i: u32, places: vec4<u32>) -> u32 {`;
  if (shift !== undefined) return `${head} return i >> ${shift}u; }`;
  return `${head}
  let q = u32(f32(i) * (1.0 / f32(places.z)));
  let rest = bitcast<i32>(i - q * places.z);
  return q - select(0u, 1u, rest < 0) + select(0u, 1u, rest >= bitcast<i32>(places.z));
}`;
}

function scaledText(
  prefix: string,
  codes: string,
  scales: string,
  table: string | undefined,
  { form, scaleType, tableType }: Variant,
): string {
  const head = `fn ${prefix}Scaled(v: vec4<f32>, block: u32, places: vec4<u32>) -> vec4<f32> {`;
  const scale = (index: string): string => scaleText(scales, scaleType, index);
  const { group, minimum } = form;
  if (table && tableType)
    return `${head}
  let byte = (${codes}[places.y + (block >> 2u)] >> ((block & 3u) * 8u)) & 255u;
  return v * (${scaleText(table, tableType, 'byte')} * ${scale(`(1u + block / ${nestedBlock}u)`)} + ${scale('0u')});
}`;
  if (!group) {
    if (!minimum) return `${head} return v * ${scale('block')}; }`;
    return `${head} let pair = ${pairText(scales, scaleType, 'block')}; return v * pair.x + pair.y; }`;
  }
  if (!minimum) {
    const byte = `(${codes}[places.y + (block >> 2u)] >> ((block & 3u) * 8u))`;
    const small = group.signed ? `f32(bitcast<i32>(${byte} << 24u) >> 24u)` : `f32(${byte} & 255u)`;
    return `${head} return v * (${scale(`(block / ${group.blocks}u)`)} * ${small}); }`;
  }
  return `${head}
  let bytes = ${codes}[places.y + (block >> 1u)] >> ((block & 1u) * 16u);
  let pair = ${pairText(scales, scaleType, `(block / ${group.blocks}u)`)} * vec2(f32(bytes & 255u), f32((bytes >> 8u) & 255u));
  return v * pair.x - pair.y;
}`;
}

function scaleText(scales: string, dtype: DType, index: string): string {
  const word = `${scales}[${index} >> 1u]`;
  if (dtype === 'f16') return `unpack2x16float(${word} >> (16u * (${index} & 1u))).x`;
  if (dtype === 'bf16') return `bitcast<f32>((${word} >> (16u * (${index} & 1u))) << 16u)`;
  return `${scales}[${index}]`;
}

/** Scales 2 `index` and 2 `index` + 1. */
function pairText(scales: string, dtype: DType, index: string): string {
  const word = `${scales}[${index}]`;
  if (dtype === 'f16') return `unpack2x16float(${word})`;
  if (dtype === 'bf16') return `bitcast<vec2<f32>>(vec2(${word} << 16u, ${word} & 0xffff0000u))`;
  return `vec2(${scales}[2u * ${index}], ${scales}[2u * ${index} + 1u])`;
}
