/** Beside what bitsandbytes wrote (tools/oracle/quantization.py). */
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { evaluate } from '@graftjs/reference';
import { beforeAll, describe, expect, test } from 'vitest';
import { BlockQuantizer, type QuantizerFormat } from './block-quantizer.ts';
import { QuantizedWeight } from './quantized-weight.ts';

const folder = nodeFolder(
  fileURLToPath(new URL('../../../../../tools/oracle/fixtures/quantization', import.meta.url)),
);
let weights: Awaited<ReturnType<typeof openSafetensors>>;
beforeAll(async () => {
  weights = await openSafetensors(await folder.open('weights.safetensors'));
});

async function quantized(name: string, format: QuantizerFormat, doubleQuantization: boolean, pieces = 1) {
  const { shape } = weights.tensors.get(`${name}.weight`)!;
  const values = await weights.readFloat32(`${name}.weight`);
  const quantizer = new BlockQuantizer({ format, shape, doubleQuantization });
  const step = Math.ceil(values.length / pieces / quantizer.unit) * quantizer.unit;
  for (let at = 0; at < values.length; at += step) quantizer.push(values.subarray(at, at + step));
  return quantizer.finish();
}

const bytesOf = ({ buffer }: Uint32Array<ArrayBuffer>): Uint8Array => new Uint8Array(buffer);

describe.each(['large', 'ragged', 'odd', 'zeros'])('%s', (name) => {
  test.each(['nf4', 'fp4'] as const)('%s: the same bytes', async (format) => {
    for (const pieces of [1, 3]) {
      const plain = await quantized(name, format, false, pieces);
      const codes = await weights.read(`${name}.${format}.codes`);
      expect(bytesOf(plain.codes).slice(0, codes.length)).toEqual(new Uint8Array(codes));
      expect(plain.scales).toEqual(await weights.readFloat32(`${name}.${format}.absmax`));

      const nested = await quantized(name, format, true, pieces);
      expect(bytesOf(nested.codes).slice(0, codes.length)).toEqual(new Uint8Array(codes));
      const nestedCodes = await weights.read(`${name}.${format}.nested_codes`);
      const start = 4 * Math.ceil(codes.length / 4);
      expect(bytesOf(nested.codes).slice(start, start + nestedCodes.length)).toEqual(
        new Uint8Array(nestedCodes),
      );
      expect(nested.nestedTable).toEqual(await weights.readFloat32(`${name}.${format}.nested_table`));
      const [mean] = await weights.readFloat32(`${name}.${format}.nested_offset`);
      const factors = await weights.readFloat32(`${name}.${format}.nested_factors`);
      expect(nested.scales).toEqual(Float32Array.of(mean!, ...factors));
    }
  });
});

test.each([
  ['ragged', 'nf4'],
  ['odd', 'nf4'],
  ['ragged', 'fp4'],
  ['zeros', 'fp4'],
] as const)('%s, %s: dequantized to the same numbers', async (name, format) => {
  for (const doubleQuantization of [false, true]) {
    const weight = new QuantizedWeight(await quantized(name, format, doubleQuantization));
    const expected = await weights.readFloat32(
      `${name}.${format}.${doubleQuantization ? 'nested_weight' : 'weight'}`,
    );
    // the last of the factors' two roundings apart
    for (const [i, v] of evaluate([weight])[0]!.entries())
      expect(Math.abs(v - expected[i]!)).toBeLessThanOrEqual(2e-7 * Math.abs(expected[i]!) + 1e-12);
  }
});

test.each(['large', 'ragged', 'odd'])('int8 of %s: the same bytes', async (name) => {
  const data = await quantized(name, 'int8', false, 3);
  const codes = await weights.read(`${name}.int8.codes`);
  expect(bytesOf(data.codes).slice(0, codes.length)).toEqual(new Uint8Array(codes));
  expect(data.scales).toEqual(await weights.readFloat32(`${name}.int8.factors`));
});

test('bytes of a weight: 0.516 with double quantization, 0.5625 without', async () => {
  const shape = [512, 512];
  const bytes = (doubleQuantization: boolean): number => {
    const quantizer = new BlockQuantizer({ format: 'nf4', shape, doubleQuantization });
    quantizer.push(new Float32Array(512 * 512));
    return new QuantizedWeight(quantizer.finish()).byteLength;
  };
  expect(bytes(true)).toBe((512 * 512) / 2 + 4096 + 4 * (1 + 16) + 4 * 256);
  expect(bytes(false)).toBe((512 * 512) / 2 + 4 * 4096);
  expect(bytes(true) / 512 ** 2).toBeLessThan(0.521);
});
