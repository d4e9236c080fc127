import type { PretrainedModel } from '@graftjs/models';
import type { Linear } from '@graftjs/nn';
import { ConfigError, PeftModel, TargetError } from '@graftjs/peft';
import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { describe, expect, test } from 'vitest';
import { model, runtime, thrown, toy, useToy, valuesOf } from '../test/toy.ts';
import { type LoraOptions, loraConfig } from './config.ts';
import { embeddings } from './embedding.ts';
import { loraWith } from './lora.ts';

const r = 4;
const tuner = loraWith(embeddings);

/** The token embedding and the layers that are targets by default. */
const targetsOf = (model: PretrainedModel): string[] => {
  const wanted = [model.inputEmbeddings, ...defaultLayers(model)];
  return [...model.namedModules()].flatMap(([path, module]) =>
    wanted.includes(module as Linear) ? [path] : [],
  );
};
const config = (model: PretrainedModel, options: LoraOptions = {}) =>
  loraConfig({ r, loraAlpha: 2, targetModules: targetsOf(model), ...options });

testTuner({
  name: 'LoRA of embeddings',
  tuner,
  config,
  parameterCount: (model) => {
    const { count, dim } = model.inputEmbeddings;
    const linear = defaultLayers(model).reduce(
      (n, layer) => n + r * (layer.inFeatures + layer.outFeatures),
      0,
    );
    return r * (count + dim) + linear;
  },
});

testTuner({
  name: 'DoRA of embeddings',
  tuner,
  config: (model) => config(model, { useDora: true }),
  parameterCount: (model) => {
    const { count, dim } = model.inputEmbeddings;
    const linear = defaultLayers(model).reduce(
      (n, layer) => n + r * layer.inFeatures + (r + 1) * layer.outFeatures,
      0,
    );
    return r * (count + dim) + dim + linear;
  },
  skip: { 'has right gradients': 'the norm is a constant to the gradient' },
});

describe('LoRA of embeddings', () => {
  useToy();

  test('starts as PEFT does', async () => {
    const other = new PeftModel(toy, { runtime, tuners: [tuner] });
    const { warnings } = await other.addAdapter('a', loraConfig({ r, targetModules: ['embed'] }));
    expect(warnings).toEqual(['embed is changed alone: the modules that share its weight are not']);
    const parameters = other.trainableParameters();
    expect([...parameters.keys()]).toEqual([
      'base_model.model.embed.lora_embedding_A.a',
      'base_model.model.embed.lora_embedding_B.a',
    ]);
    const [a, b] = await valuesOf(parameters.values());
    expect(a!.every((x) => x === 0)).toBe(true);
    expect(b!.every((x) => x !== 0)).toBe(true);
    await other.addAdapter('random', loraConfig({ r, targetModules: ['embed'], initLoraWeights: false }));
    other.setAdapter('random');
    const [random] = await valuesOf(other.trainableParameters().values());
    expect(random!.every((x) => x !== 0)).toBe(true);
  });

  test('has no bias, and is no part of plain LoRA, which says what to do', async () => {
    const other = new PeftModel(toy, { runtime, tuners: [tuner] });
    const biased = loraConfig({ loraBias: true, targetModules: ['embed'] });
    expect(await thrown(() => other.addAdapter('a', biased))).toBeInstanceOf(ConfigError);
    const refused = await thrown(() => model.addAdapter('a', loraConfig({ targetModules: ['embed'] })));
    expect(refused).toBeInstanceOf(TargetError);
    expect((refused as TargetError).message).toContain('loraWith(embeddings)');
  });
});
