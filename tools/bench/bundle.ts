import { bundleTraining } from '../../packages/apps/playground/test/training-bundle.ts';
import type { Row } from './report.ts';

/** Bytes that a page loads to train LoRA adapters of Llama models: engine, model, LoRA, AdamW; no tokenizer. */
export async function benchBundle(): Promise<Row[]> {
  const { first, gzipBytes } = await bundleTraining();
  const bytes = first.reduce((sum, { code }) => sum + code.length, 0);
  return [{ group: 'bundle', name: 'LoRA training of Llama models', gzipBytes, bytes }];
}
