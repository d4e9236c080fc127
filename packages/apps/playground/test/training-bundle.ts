import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, defaultClientConditions, type Rolldown } from 'vite';

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

/** What a page loads that trains LoRA on Llama models. */
export interface Bundle {
  readonly chunks: readonly Rolldown.OutputChunk[];
  readonly gzipBytes: number;
}

/** Bundles, from source, what a page needs to train LoRA adapters of Llama models. */
export async function bundleTraining(): Promise<Bundle> {
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
        load: (id) => (id === entry ? training : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2023',
      rolldownOptions: { input: 'entry', preserveEntrySignatures: 'strict' },
    },
  });
  const chunks = (built as Rolldown.RolldownOutput).output as Rolldown.OutputChunk[];
  return { chunks, gzipBytes: chunks.reduce((sum, { code }) => sum + gzipSync(code).length, 0) };
}
