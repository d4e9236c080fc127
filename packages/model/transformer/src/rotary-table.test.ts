import { Runtime } from '@graftjs/compiler';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RotaryOptions, rotaryFrequencies, rotaryTable } from './index.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

// Llama 3.2's.
const llama3: RotaryOptions = {
  headDim: 16,
  theta: 500000,
  scaling: { type: 'llama3', factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
};

// inv_freq of LlamaRotaryEmbedding in transformers 5.23.0, which computes it in float32.
test.each<[string, RotaryOptions, number[]]>([
  [
    'default',
    { headDim: 16, theta: 500000, scaling: { type: 'default' } },
    [
      1, 0.193922758102417, 0.03760603070259094, 0.00729266507551074, 0.001414213445968926,
      0.00027424818836152554, 5.3182957344688475e-5, 1.0313385246263351e-5,
    ],
  ],
  [
    'linear',
    { headDim: 16, theta: 10000, scaling: { type: 'linear', factor: 4 } },
    [
      0.25, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    'llama3',
    llama3,
    [
      1, 0.193922758102417, 0.03760603070259094, 0.00729266507551074, 0.000429556705057621,
      8.570255886297673e-6, 1.6619674170215148e-6, 3.2229328894572973e-7,
    ],
  ],
])('%s frequencies are those of transformers', (_, options, expected) => {
  const got = rotaryFrequencies(options);
  expect(got.length).toBe(expected.length);
  for (const [i, frequency] of expected.entries())
    expect(Math.abs(got[i]! / frequency - 1), `frequency ${i}`).toBeLessThan(1e-6);
});

test('cosines and sines are exact to float32 at every position of a long context', async () => {
  const frequencies = rotaryFrequencies(llama3);
  const ids = [0, 1, 2, 777, 8191, 32767, 65535, 131071];
  const positions = new Variable([ids.length], Int32Array.from(ids), { dtype: 'i32' });
  const { cos, sin } = rotaryTable(llama3)(positions);
  expect(cos.shape).toEqual([ids.length, 8]);
  const [c, s] = await runtime.evaluate([cos, sin]);
  for (const [p, id] of ids.entries())
    for (const [j, frequency] of frequencies.entries()) {
      // The angle is a float32 product, as in transformers.
      const angle = Math.fround(id * frequency);
      expect(Math.abs(c![p * 8 + j]! - Math.cos(angle)), `cos at ${id}`).toBeLessThan(3e-6);
      expect(Math.abs(s![p * 8 + j]! - Math.sin(angle)), `sin at ${id}`).toBeLessThan(3e-6);
    }
});

test('positions of their own for each sequence give a table for each', async () => {
  const positions = new Variable([2, 3], Int32Array.of(0, 1, 2, 7, 8, 9), { dtype: 'i32' });
  const { cos } = rotaryTable(llama3)(positions);
  expect(cos.shape).toEqual([2, 3, 8]);
  const [got] = await runtime.evaluate([cos]);
  expect(Math.abs(got![3 * 8]! - Math.cos(7))).toBeLessThan(1e-6);
});
