import { expect, it } from 'vitest';
import { bundleTraining } from './training-bundle.ts';

it('LoRA training of Llama models fits in 76 kB of a page, and calls nothing of Node', async () => {
  const { first, onDemand, gzipBytes } = await bundleTraining();
  const code = first.map((chunk) => chunk.code).join('\n');
  console.log(`LoRA training of Llama models: ${gzipBytes} bytes with gzip, ${code.length} without`);
  expect(gzipBytes).toBeLessThan(76_000);
  // What only some runs need is loaded where it is: quantized weights, DoRA, files of adapters, merging.
  for (const rare of [
    'Q4_K',
    'lora_magnitude_vector',
    'adapter_model.safetensors',
    'allow it by dequantize',
  ]) {
    expect(onDemand.filter((chunk) => chunk.code.includes(rare))).toHaveLength(1);
    expect(code).not.toContain(rare);
  }
  // Other architectures are left out.
  expect(code).not.toContain('activation_function');
  const own = first.map(({ fileName }) => fileName);
  expect(first.flatMap(({ imports }) => imports).filter((name) => !own.includes(name))).toEqual([]);
  expect(code.match(/["'`]node:\w+|\brequire\(|browser-external/g)).toBeNull();
});
