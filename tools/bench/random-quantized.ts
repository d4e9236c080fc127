import type { JsonObject } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { type CausalLM, type LoadedModel, llama, parseConfig } from '@graftjs/models';
import { BlockQuantizer, Linear, QuantizedWeight, replaceWeight, storeWeightsAs } from '@graftjs/nn';
import { quantizedLayout } from '@graftjs/ops';
import { narrowToHalves, type Variable } from '@graftjs/tensor';
import { noise } from './alone.ts';

const block = 64;
/** Of the weights: what `initializer_range` is for Llama models. */
const deviation = 0.02;
/** Of NF4's 16 numbers, each as often as the others. */
const codeDeviation = 0.575;

/**
 * A Llama model of random weights whose linear layers are made in NF4 with nested factors, layer by layer on the device:
 * no f32 form of any of them exists. Embeddings and head are f16, norms f32.
 */
export async function randomQuantizedLlama(
  runtime: Runtime,
  json: JsonObject,
): Promise<LoadedModel<CausalLM>> {
  const config = parseConfig(json, { architectures: [llama] });
  const model = llama.build(config);
  storeWeightsAs(model, () => 'f16');
  let nestedTable: Variable | undefined;
  let seed = 1;
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof Linear) || module === model.outputEmbeddings) continue;
    const { outFeatures, inFeatures, weight } = module;
    const layout = quantizedLayout('nf4', outFeatures * inFeatures, block, true);
    const table = new BlockQuantizer({ format: 'nf4', shape: [1, block] });
    table.push(noise(block, 1));
    const data = {
      format: 'nf4',
      shape: [outFeatures, inFeatures],
      block,
      codes: randomWords(layout.codeWords, seed++),
      // the mean of the blocks' factors, then what the nested codes, -1 to 1, are multiplied by
      scales: new Float32Array(layout.scaleCount).fill(deviation / codeDeviation / 10),
      nestedTable: table.finish().nestedTable!,
    } as const;
    data.scales[0] = deviation / codeDeviation;
    const quantized = new QuantizedWeight(data, {
      name: `${path}.weight`,
      ...(nestedTable ? { nestedTable } : {}),
    });
    nestedTable ??= quantized.parts.at(-1);
    replaceWeight(model, weight, quantized);
    for (const part of quantized.parts) runtime.upload(part);
    // the queue holds copies until the device has taken them
    await runtime.gpu.idle();
  }
  for (const parameter of model.parameters())
    if (parameter.dtype === 'f16') {
      parameter.set(randomHalves(parameter.size, seed++));
      runtime.upload(parameter);
      await runtime.gpu.idle();
    }
  return { model, config, json } as LoadedModel<CausalLM>;
}

/** f16 numbers, evenly spread about 0; out of a table, since f32 forms of all would take twice their memory. */
function randomHalves(count: number, seed: number): Uint16Array<ArrayBuffer> {
  const table = narrowToHalves(
    'f16',
    noise(4096, seed).map((v) => v * deviation * Math.sqrt(3)),
  );
  const values = new Uint16Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = table[state >>> 20]!;
  }
  return values;
}

/** Words of random bits. */
function randomWords(count: number, seed: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(count);
  let state = (seed * 0x9e3779b9) | 1;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return words;
}
