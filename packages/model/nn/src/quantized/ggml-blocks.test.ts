/** Blocks as weights keep them, beside the numbers that the Python package gguf reads out of them. */
import { fileURLToPath } from 'node:url';
import { openGguf, openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { evaluate } from '@graftjs/reference';
import { beforeAll, expect, test } from 'vitest';
import { fromGgmlBlocks, type GgmlFormat, isGgmlFormat } from './ggml-blocks.ts';
import { QuantizedWeight } from './quantized-weight.ts';

const folder = nodeFolder(
  fileURLToPath(new URL('../../../../io/checkpoint/test/fixtures/gguf', import.meta.url)),
);
let gguf: Awaited<ReturnType<typeof openGguf>>;
let numbers: Awaited<ReturnType<typeof openSafetensors>>;
beforeAll(async () => {
  gguf = await openGguf(await folder.open('types.gguf'));
  numbers = await openSafetensors(await folder.open('types.safetensors'));
});

const formats = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'] as const;

test.each(formats)('%s: every number', async (format: GgmlFormat) => {
  const found = [...gguf.tensors].filter(([, { dtype }]) => dtype === format);
  expect(found.length).toBeGreaterThan(0);
  for (const [name, { shape, byteLength }] of found) {
    const weight = new QuantizedWeight(fromGgmlBlocks(format, shape, await gguf.read(name)));
    const expected = await numbers.readFloat32(name);
    const values = Float32Array.from(evaluate([weight])[0]!);
    for (const [i, v] of expected.entries()) {
      const isSame = values[i] === v || (Number.isNaN(v) && Number.isNaN(values[i]));
      expect(isSame, `${name}[${i}]: ${values[i]}, not ${v}`).toBe(true);
    }
    // the file's bytes, but for the 6-bit factors of Q3_K to Q5_K, which take 8, and padding to words
    expect(weight.byteLength).toBeLessThanOrEqual(byteLength * (format === 'Q2_K' ? 1.2 : 1.04) + 8);
  }
});

test('other dtypes, and bytes of another shape', () => {
  expect(isGgmlFormat('IQ2_XS')).toBe(false);
  expect(isGgmlFormat('F16')).toBe(false);
  expect(() => fromGgmlBlocks('Q4_0', [2, 32], new Uint8Array(18))).toThrow(
    '18 bytes are not 2 blocks of 18',
  );
});
