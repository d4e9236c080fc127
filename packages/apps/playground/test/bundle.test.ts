import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, defaultClientConditions, type Rolldown } from 'vite';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Everything from a folder with a Llama model to a LoRA training step; the tokenizer is not in it. */
const training = `
import { openGpu } from '@graftjs/webgpu';
import { Runtime } from '@graftjs/compiler';
import { gradients } from '@graftjs/tensor';
import { llama, loadModel, tokenLossSum } from '@graftjs/models';
import { PeftModel } from '@graftjs/peft';
import { lora, loraConfig } from '@graftjs/lora';
import { AdamW } from '@graftjs/optim';
export { AdamW, gradients, llama, loadModel, lora, loraConfig, openGpu, PeftModel, Runtime, tokenLossSum };
`;

async function bundle(code: string): Promise<Rolldown.OutputChunk> {
  const entry = `${root}src/bundled.ts`;
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@graftjs/source', ...defaultClientConditions] },
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry' ? entry : undefined),
        load: (id) => (id === entry ? code : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2023',
      rolldownOptions: { input: 'entry', preserveEntrySignatures: 'strict' },
    },
  });
  const { output } = built as Rolldown.RolldownOutput;
  expect(output).toHaveLength(1);
  return output[0];
}

it('LoRA training of Llama models fits in 64 kB of a page, and calls nothing of Node', async () => {
  const { code, imports } = await bundle(training);
  const bytes = gzipSync(code).length;
  console.log(`LoRA training of Llama models: ${bytes} bytes with gzip, ${code.length} without`);
  expect(bytes).toBeLessThan(64_000);
  expect(imports).toEqual([]);
  expect(code.match(/["'`]node:\w+|\brequire\(|browser-external/g)).toBeNull();
});
