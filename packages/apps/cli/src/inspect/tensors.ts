import type { TensorEntry } from '@graftjs/checkpoint';

/** A tensor of a file. */
export interface TensorLine {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** What tensors come to. */
export interface TensorSummary {
  readonly tensors: readonly TensorLine[];
  /** Elements of all. */
  readonly parameters: number;
  readonly bytes: number;
  /** Bytes by dtype. */
  readonly dtypes: Readonly<Record<string, number>>;
}

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

export function summarize({
  tensors: entries,
}: {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}): TensorSummary {
  const tensors = [...entries].map(([name, { dtype, shape, byteLength }]) => ({
    name,
    dtype,
    shape: [...shape],
    bytes: byteLength,
  }));
  const dtypes: Record<string, number> = {};
  for (const { dtype, bytes } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + bytes;
  return {
    tensors,
    parameters: tensors.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes,
  };
}

/** Tensors for people, a line each; those whose names differ in numbers only, such as of layers, share one. */
export function tensorLines(tensors: readonly TensorLine[]): string[] {
  const groups = new Map<string, TensorLine[]>();
  for (const tensor of tensors) {
    const key = `${tensor.name.replace(/\d+/g, '#')} ${tensor.dtype} ${tensor.shape}`;
    groups.set(key, [...(groups.get(key) ?? []), tensor]);
  }
  return [...groups.values()].map((group) => {
    const { dtype, shape } = group[0]!;
    return `${sharedName(group.map(({ name }) => name))}  ${dtype} [${shape.join(', ')}]${group.length > 1 ? `  × ${group.length}` : ''}`;
  });
}

/** `layers.{0-29}.norm`: where names differ, the least and the greatest number. */
function sharedName(names: readonly string[]): string {
  const numbers = names.map((name) => (name.match(/\d+/g) ?? []).map(Number));
  let at = 0;
  return names[0]!.replace(/\d+/g, () => {
    const own = numbers.map((row) => row[at]!);
    at++;
    const [least, most] = [Math.min(...own), Math.max(...own)];
    return least === most ? String(least) : `{${least}-${most}}`;
  });
}
