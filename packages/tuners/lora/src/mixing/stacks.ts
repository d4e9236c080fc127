/** The factors of adapters at one module, one after another and padded to the same rank. */
import type { Runtime } from '@graftjs/compiler';
import type { AdapterTensor } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import type { LoraPart } from '../layer.ts';
import { below, besideNegative } from '../plain-form.ts';

/** The change s · (B A x + b_B) of one adapter. */
export interface Factors {
  /** s · A, `[r, in]`. */
  readonly a: AdapterTensor;
  /** `[out, r]`. */
  readonly b: AdapterTensor;
  /** s · b_B, `[out]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

export async function factorsOf(runtime: Runtime, part: LoraPart): Promise<Factors> {
  const { scaling, subtracted } = part;
  const read = async (parameter: LoraPart['a']): Promise<Float32Array<ArrayBuffer>> =>
    (await runtime.read(parameter)).slice() as Float32Array<ArrayBuffer>;
  const scaled = (values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> =>
    values.map((x) => x * scaling);
  let a: AdapterTensor = { shape: part.a.shape, data: await read(part.a) };
  let b: AdapterTensor = { shape: part.b.shape, data: await read(part.b) };
  if (subtracted) {
    a = below(a, await read(subtracted.a));
    b = besideNegative(b, await read(subtracted.b));
  }
  return {
    a: { shape: a.shape, data: scaled(a.data as Float32Array<ArrayBuffer>) },
    b,
    ...(part.bias ? { bias: scaled(await read(part.bias)) } : {}),
  };
}

export interface Stacks {
  /** `[n + 1, r, in]`, the first of them zero: no adapter. */
  readonly a: Variable;
  /** `[n + 1, out, r]`. */
  readonly b: Variable;
  /** `[n + 1, out]`, where an adapter has one. */
  readonly bias: Variable | undefined;
}

export function stacksOf(path: string, factors: readonly (Factors | undefined)[]): Stacks {
  const there = factors.filter((one) => one !== undefined);
  const rank = Math.max(...there.map(({ a }) => a.shape[0]!));
  const [inner, out] = [there[0]!.a.shape[1]!, there[0]!.b.shape[0]!];
  const count = factors.length + 1;
  const a = new Float32Array(count * rank * inner);
  const b = new Float32Array(count * out * rank);
  const bias = new Float32Array(count * out);
  for (const [i, one] of factors.entries()) {
    if (!one) continue;
    a.set(one.a.data, (i + 1) * rank * inner);
    const own = one.b.shape[1]!;
    for (let row = 0; row < out; row++)
      b.set(one.b.data.subarray(row * own, (row + 1) * own), ((i + 1) * out + row) * rank);
    if (one.bias) bias.set(one.bias, (i + 1) * out);
  }
  const hasBias = there.some((one) => one.bias);
  return {
    a: new Variable([count, rank, inner], a, { name: `${path} A of all` }),
    b: new Variable([count, out, rank], b, { name: `${path} B of all` }),
    bias: hasBias ? new Variable([count, out], bias, { name: `${path} bias of all` }) : undefined,
  };
}
