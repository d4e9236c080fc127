/** A model with the adapters of `lora-batches` of the fixtures, and what peft computes with them. */
import { fileURLToPath } from 'node:url';
import { type Folder, openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { architectures, type CausalLM, loadModel } from '@graftjs/models';
import { PeftModel } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll } from 'vitest';
import { activated, embeddings, loraWith } from '../src/index.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
export const folder: Folder = fixtures.folder('lora-batches');

interface Said {
  readonly base: string;
  readonly mixed: readonly string[];
  readonly mixed_invoked: readonly string[];
  readonly greedy: readonly string[];
  readonly swaps: Readonly<Record<string, readonly [string, string]>>;
}
export const said: Said = JSON.parse(await folder.readText('case.json'));
/** peft's name of the base's rows. */
export const adaptersOf = (rows: readonly string[]): (string | null)[] =>
  rows.map((row) => (row === '__base__' ? null : row));

const expected = await openSafetensors(await folder.open('expected.safetensors'));
export const numbers = (key: string): Promise<Float32Array> => expected.readFloat32(key);
export const integers = async (key: string): Promise<Variable> =>
  new Variable(expected.tensors.get(key)!.shape, Int32Array.from(await numbers(key)));
export const rowsOf = async (key: string): Promise<number[][]> => {
  const [rows, tokens] = expected.tensors.get(key)!.shape as [number, number];
  const all = [...(await numbers(key))];
  return Array.from({ length: rows }, (_, row) => all.slice(row * tokens, (row + 1) * tokens));
};

export let runtime: Runtime;
/** Kernels that were compiled so far. */
export let compiled = 0;

/** Called once at the top of a test file. */
export function useBatches(): void {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu();
    runtime = new Runtime(gpu, {
      poison: true,
      onCompile: () => {
        compiled++;
      },
    });
  });
  afterAll(() => gpu?.close());
}

export async function modelWith(...names: readonly string[]): Promise<PeftModel<CausalLM>> {
  const { model } = await loadModel(fixtures.folder(said.base), { architectures });
  const peft = new PeftModel(model, { runtime, tuners: [loraWith(embeddings, activated)] });
  for (const name of names) await peft.loadAdapter(folder.folder(name), name);
  return peft;
}
