import { expect, it } from 'vitest';
import { bundleTraining } from './training-bundle.ts';

it('LoRA training of Llama models fits in 66 kB of a page, and calls nothing of Node', async () => {
  const { chunks, gzipBytes } = await bundleTraining();
  expect(chunks).toHaveLength(1);
  const { code, imports } = chunks[0]!;
  console.log(`LoRA training of Llama models: ${gzipBytes} bytes with gzip, ${code.length} without`);
  expect(gzipBytes).toBeLessThan(66_000);
  // Other architectures are left out.
  expect(code).not.toContain('activation_function');
  expect(imports).toEqual([]);
  expect(code.match(/["'`]node:\w+|\brequire\(|browser-external/g)).toBeNull();
});
