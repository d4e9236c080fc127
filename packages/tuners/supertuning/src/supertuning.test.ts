import { Runtime } from '@graftjs/compiler';
import { PeftModel } from '@graftjs/peft';
import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { openGpu } from '@graftjs/webgpu';
import { expect, test } from 'vitest';
import { supertuning, supertuningConfig } from './supertuning.ts';

const sparsity = 0.9;
const entries = (inFeatures: number, outFeatures: number): number =>
  Math.floor(inFeatures * outFeatures * (1 - sparsity));

testTuner({
  name: 'Super-Tuning',
  tuner: supertuning,
  config: () => supertuningConfig({ sparsity }),
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (sum, { inFeatures, outFeatures }) => sum + entries(inFeatures, outFeatures),
      0,
    ),
  wrongTargets: { config: supertuningConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

testTuner({
  name: 'Super-Tuning with a rank',
  tuner: supertuning,
  config: () => supertuningConfig({ sparsity, r: 2, selectTop: false }),
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (sum, { inFeatures, outFeatures }) =>
        sum + entries(inFeatures, outFeatures) + 2 * (inFeatures + outFeatures),
      0,
    ),
  wrongTargets: { config: supertuningConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

test('places are those of the largest magnitudes, or of the smallest', async () => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const model = smallModel('llama');
  const peft = new PeftModel(model, { runtime, tuners: [supertuning] });
  const layer = defaultLayers(model)[0]!;
  const weight = await runtime.read(layer.weight);
  for (const selectTop of [true, false]) {
    const name = selectTop ? 'largest' : 'smallest';
    await peft.addAdapter(name, supertuningConfig({ sparsity, selectTop }));
    const state = await peft.attached(name).toStateDict(runtime);
    const key = [...state.keys()].find((k) => k.endsWith('supertuning_indices'))!;
    const places = [...state.get(key)!.data];
    const chosen = places.map((i) => Math.abs(weight[i]!));
    const others = Array.from(weight, Math.abs).filter((_, i) => !places.includes(i));
    expect(new Set(places).size).toBe(entries(layer.inFeatures, layer.outFeatures));
    if (selectTop) expect(Math.min(...chosen)).toBeGreaterThanOrEqual(Math.max(...others));
    else expect(Math.max(...chosen)).toBeLessThanOrEqual(Math.min(...others));
  }
  gpu.close();
});

test('refuses what trains nothing, and α without a rank', async () => {
  expect(() => supertuningConfig({ sparsity: 1 })).toThrow(/sparsity: must be a number from 0 on, below 1/);
  expect(() => supertuningConfig({ loraAlpha: 3 })).toThrow(/lora_alpha: .*give r, too/);
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof supertuning.attach>[2];
  const config = supertuningConfig({ sparsity: 0.9999 });
  await expect(async () => supertuning.attach(smallModel('llama'), config, context)).rejects.toThrow(
    /sparsity: leaves nothing to train of model.layers.0.self_attn.q_proj, which has 256 entries/,
  );
});
