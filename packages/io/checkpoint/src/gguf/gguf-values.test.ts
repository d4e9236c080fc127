import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import expected from '../../test/fixtures/gguf/types.json' with { type: 'json' };
import { nodeFolder } from '../node.ts';
import { openSafetensors } from '../safetensors-reader.ts';
import { blockSize } from './ggml-types.ts';
import { openGguf } from './gguf-reader.ts';

const folder = fileURLToPath(new URL('../../test/fixtures/gguf', import.meta.url));
const gguf = await openGguf(await nodeFolder(folder).open('types.gguf'));
const dequantized = await openSafetensors(readFileSync(`${folder}/types.safetensors`));

const bits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

describe('as the Python package gguf reads it', () => {
  test('the metadata', () => {
    const ours = [...gguf.keyValues].map(([key, value]) => {
      if (typeof value !== 'object') return [key, value];
      return [key, Array.from(value as ArrayLike<unknown>)];
    });
    const theirs: Record<string, unknown> = {
      ...expected.metadata,
      'value.u64.wide': 2n ** 64n - 1n,
      // It flattens arrays of arrays.
      'array.nested': [Int32Array.of(1, 2), Int32Array.of(3)],
    };
    expect(ours).toEqual(Object.entries(theirs));
  });

  test('the table of tensors', () => {
    expect(Object.fromEntries(gguf.tensors)).toEqual(expected.tensors);
  });

  test.each([...dequantized.tensors.keys()])('%s, bit for bit', async (name) => {
    const theirs = await dequantized.readFloat32(name);
    const ours = await gguf.readFloat32(name);
    expect(bits(ours)).toEqual(bits(theirs));
    const { dtype, shape, byteLength } = gguf.tensors.get(name)!;
    const { elements, bytes } = blockSize(dtype);
    expect(shape.reduce((a, b) => a * b, 1) * bytes).toBe(byteLength * elements);
    expect(await gguf.read(name)).toHaveLength(byteLength);
  });
});
