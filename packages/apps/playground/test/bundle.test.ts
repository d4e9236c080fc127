import { expect, it } from 'vitest';
import { bundleTraining } from './training-bundle.ts';

it('LoRA training of Llama models fits in 78 kB of a page, and calls nothing of Node', async () => {
  const { first, onDemand, gzipBytes } = await bundleTraining();
  const code = first.map((chunk) => chunk.code).join('\n');
  console.log(`LoRA training of Llama models: ${gzipBytes} bytes with gzip, ${code.length} without`);
  expect(gzipBytes).toBeLessThan(78_000);
  // What quantized weights need is loaded where there are any.
  expect(onDemand.map((chunk) => chunk.code.includes('Q4_K'))).toEqual([true]);
  expect(code).not.toContain('Q4_K');
  // Other architectures are left out.
  expect(code).not.toContain('activation_function');
  const own = first.map(({ fileName }) => fileName);
  expect(first.flatMap(({ imports }) => imports).filter((name) => !own.includes(name))).toEqual([]);
  expect(code.match(/["'`]node:\w+|\brequire\(|browser-external/g)).toBeNull();
});
