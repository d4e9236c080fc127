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
  /** What is loaded at once. */
  readonly first: readonly Rolldown.OutputChunk[];
  /** What is loaded where it is needed. */
  readonly onDemand: readonly Rolldown.OutputChunk[];
  /** Of what is loaded at once. */
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
      // As of a page's own script: what chunks on demand share with it stays in it.
      rolldownOptions: { input: 'entry', preserveEntrySignatures: 'allow-extension' },
    },
  });
  const chunks = (built as Rolldown.RolldownOutput).output as Rolldown.OutputChunk[];
  const onDemand = chunks.filter((chunk) => chunk.isDynamicEntry);
  const first = chunks.filter((chunk) => !chunk.isDynamicEntry);
  return { first, onDemand, gzipBytes: first.reduce((sum, { code }) => sum + gzipSync(code).length, 0) };
}
