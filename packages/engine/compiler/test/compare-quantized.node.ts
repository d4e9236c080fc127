/**
 * Products with quantized weights beside f32 ones, in turns:
 *
 *     npx tsx --conditions=@graftjs/source packages/engine/compiler/test/compare-quantized.node.ts
 */
import { blockOf, dequantize, type QuantizedFormat, quantizedLayout } from '@graftjs/ops';
import { linear, matmul, type Tensor, Variable } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';
import { Runtime } from '../src/index.ts';

const [m, out, inner, rounds] = [256, 512, 512, 5];
const gpu = await openGpu();
const runtime = new Runtime(gpu);
const floats = (shape: number[]): Variable =>
  new Variable(shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.01));
const shape = [out, inner];

function quantized(format: QuantizedFormat, nested: boolean): Tensor {
  const { codeWords, scaleCount } = quantizedLayout(format, out * inner, blockOf(format, shape), nested);
  const codes = new Variable([codeWords], new Uint32Array(codeWords).fill(0x12345678));
  const scales = floats([scaleCount]);
  return dequantize({ codes, scales, ...(nested ? { nestedTable: floats([256]) } : {}) }, { format, shape });
}

const weights: Record<string, Tensor> = {
  f32: floats(shape),
  nf4: quantized('nf4', false),
  'nf4 nested': quantized('nf4', true),
  int8: quantized('int8', false),
  Q4_0: quantized('Q4_0', false),
  Q8_0: quantized('Q8_0', false),
  Q4_K: quantized('Q4_K', false),
  Q6_K: quantized('Q6_K', false),
};
const programs = await Promise.all(
  Object.entries(weights).flatMap(([name, weight]) =>
    [linear(floats([m, inner]), weight), matmul(floats([m, out]), weight)].map(async (product, i) => ({
      name: `${name} ${i === 0 ? 'x Wᵀ' : 'dy W'}`,
      program: await runtime.compile({ outputs: [product] }),
      milliseconds: [] as number[],
    })),
  ),
);
for (let round = 0; round <= rounds; round++)
  for (const { program, milliseconds } of programs) {
    const steps = await program.profile();
    if (round > 0) milliseconds.push(steps.reduce((sum, step) => sum + step.milliseconds, 0));
  }
const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
for (const [i, { name, milliseconds }] of programs.entries()) {
  const plain = median(programs[i % 2]!.milliseconds);
  const own = median(milliseconds);
  const least = Math.min(...programs[i % 2]!.milliseconds) / Math.min(...milliseconds);
  console.log(
    `${name.padEnd(18)} ${own.toFixed(1)} ms, ${(plain / own).toFixed(2)} of f32's rate (least times ${least.toFixed(2)})`,
  );
}
gpu.close();
