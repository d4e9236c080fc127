import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openGguf } from '@graftjs/checkpoint';
import { nodeFile, nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { type CausalLM, ggufModel, type LoadOptions, loadModel, modelFrom, saveModel } from '@graftjs/models';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { ggufFile, type TensorRow, value } from '../../packages/io/checkpoint/test/gguf-file.ts';
import type { Bench } from './bench.ts';
import { median, timed } from './measure.ts';
import { architectures, shapes } from './models.ts';
import type { Row } from './report.ts';
import { randomModel } from './training-step.ts';

const json = shapes['SmolLM2-135M'];

type Storage = NonNullable<LoadOptions<(typeof architectures)[number]>['weights']>;

/** From a file to weights on the device: SmolLM2-135M's shapes. The files are in the system's cache of files. */
export async function benchLoading({ rounds }: Bench): Promise<Row[]> {
  const path = await mkdtemp(join(tmpdir(), 'graft-bench-'));
  const gguf = join(path, 'model.gguf');
  try {
    const gpu = await openGpu();
    for (const dtype of ['F32', 'BF16'] as const)
      await saveModel(new Runtime(gpu), nodeFolder(join(path, dtype)), randomModel({ json }), { dtype });
    gpu.close();
    await writeFile(gguf, quantizedFile());
    const folder = (dtype: string, weights: Storage) => async (runtime: Runtime) =>
      (await loadModel(nodeFolder(join(path, dtype)), { architectures, runtime, weights })).model;
    const blocks = (weights: Storage) => async (runtime: Runtime) => {
      const { config, weights: stored } = await ggufModel(await openGguf(await nodeFile(gguf)));
      return (await modelFrom(config, stored, { architectures, runtime, weights })).model;
    };
    const cases: readonly [name: string, file: string, load: (runtime: Runtime) => Promise<CausalLM>][] = [
      ['safetensors of F32', join(path, 'F32/model.safetensors'), folder('F32', 'stored')],
      ['safetensors of BF16, kept', join(path, 'BF16/model.safetensors'), folder('BF16', 'stored')],
      ['safetensors of BF16, as NF4', join(path, 'BF16/model.safetensors'), folder('BF16', 'nf4')],
      ['GGUF of Q8_0, blocks kept', gguf, blocks('stored')],
      ['GGUF of Q8_0, as f32', gguf, blocks('f32')],
    ];
    const rows: Row[] = [];
    for (const [name, file, load] of cases)
      rows.push({ group: 'loading', name, ...(await timeLoading(file, load, Math.min(rounds, 3))) });
    return rows;
  } finally {
    await rm(path, { recursive: true });
  }
}

async function timeLoading(file: string, load: (runtime: Runtime) => Promise<CausalLM>, rounds: number) {
  const times: number[] = [];
  let [weights, peak] = [0, 0];
  while (times.length < rounds) {
    const gpu: Gpu = await openGpu();
    let model: CausalLM | undefined;
    times.push(
      await timed(async () => {
        model = await load(new Runtime(gpu));
        await gpu.idle();
      }),
    );
    weights = model!.parameters().reduce((sum, { byteLength }) => sum + byteLength, 0);
    peak = gpu.stats().peakBytes;
    gpu.close();
  }
  const { size } = await stat(file);
  const milliseconds = median(times);
  return {
    milliseconds,
    megabytesPerSecond: size / 1e3 / milliseconds,
    fileMegabytes: size / 1e6,
    weightMegabytes: weights / 1e6,
    peakMegabytes: peak / 1e6,
    rounds,
  };
}

/** The model in blocks of Q8_0 whose bytes count up: only how long they take to load matters. */
function quantizedFile(): Uint8Array {
  const [f32Type, q8Type] = [0, 8];
  const { hidden_size: h, intermediate_size: i, num_hidden_layers: layers, vocab_size: vocab } = json;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = json;
  const kv = (h / heads) * kvHeads;
  const tensors: TensorRow[] = [];
  let data = 0;
  const tensor = (name: string, dimensions: readonly number[]): void => {
    const isMatrix = dimensions.length > 1;
    tensors.push({ name, dimensions, type: isMatrix ? q8Type : f32Type, offset: data });
    const size = dimensions.reduce((n, d) => n * d, 1);
    data += Math.ceil((isMatrix ? (size / 32) * 34 : size * 4) / 32) * 32;
  };
  tensor('token_embd.weight', [h, vocab]);
  tensor('output_norm.weight', [h]);
  for (let layer = 0; layer < layers; layer++) {
    const extents: Readonly<Record<string, readonly number[]>> = {
      attn_norm: [h],
      attn_q: [h, h],
      attn_k: [h, kv],
      attn_v: [h, kv],
      attn_output: [h, h],
      ffn_norm: [h],
      ffn_gate: [h, i],
      ffn_up: [h, i],
      ffn_down: [i, h],
    };
    for (const [name, dimensions] of Object.entries(extents))
      tensor(`blk.${layer}.${name}.weight`, dimensions);
  }
  return ggufFile({
    keys: [
      ['general.architecture', value.text('llama')],
      ['llama.context_length', value.u32(json.max_position_embeddings)],
      ['llama.embedding_length', value.u32(h)],
      ['llama.block_count', value.u32(layers)],
      ['llama.feed_forward_length', value.u32(i)],
      ['llama.attention.head_count', value.u32(heads)],
      ['llama.attention.head_count_kv', value.u32(kvHeads)],
      ['llama.attention.layer_norm_rms_epsilon', value.f32(json.rms_norm_eps)],
      ['llama.rope.freq_base', value.f32(json.rope_theta)],
      ['llama.rope.dimension_count', value.u32(h / heads)],
      ['llama.vocab_size', value.u32(vocab)],
    ],
    tensors,
    data,
  });
}
