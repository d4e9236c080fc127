import { expect, test } from 'vitest';
import { parseConfig } from '../config/parse.ts';
import { ConfigError } from '../errors.ts';

const least = 'model: ./model\noutput: ./out\ndata: train.jsonl\n';
const thrown = async (yaml: string): Promise<ConfigError> => {
  try {
    await parseConfig(least + yaml, { file: 'c.yaml' });
  } catch (error) {
    return error as ConfigError;
  }
  throw new Error('nothing was thrown');
};

test.each([
  [
    'method:\n  type: prompt-tuning\n  numVirtualToken: 3',
    'c.yaml:6:3: unknown key method.numVirtualToken of prompt-tuning; did you mean numVirtualTokens?',
  ],
  ['method: { type: prefix-tuning, r: 8 }', 'c.yaml:4:32: unknown key method.r of prefix-tuning'],
  [
    'method:\n  type: p-tuning\n  encoderDropout: 2',
    'c.yaml:6:19: method.encoderDropout is 2: it must be a number from 0 to 1',
  ],
  [
    'method:\n  type: p-tuning\n  numVirtualTokens: 3\n  num_virtual_tokens: 4',
    'c.yaml:7:23: method.numVirtualTokens is given twice',
  ],
  [
    'method: { type: prompt-tuning, promptTuningInit: text }',
    'method.promptTuningInitText: TEXT needs it: the text to start from',
  ],
  [
    'method: prompt-tunin',
    'c.yaml:4:9: method.type: there is no method "prompt-tunin"; did you mean prompt-tuning?',
  ],
])('%s', async (yaml, message) => {
  const error = await thrown(yaml);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error.message).toContain(message);
});

test('virtual tokens do not go with packing, a prefix does', async () => {
  const packed = (type: string): string =>
    `model: m\noutput: o\ndata: { train: t.jsonl, packing: true }\nmethod: ${type}`;
  await expect(parseConfig(packed('prompt-tuning'))).rejects.toThrow(
    'data.packing does not go with prompt-tuning',
  );
  expect((await parseConfig(packed('prefix-tuning'))).method).toEqual({
    type: 'prefix-tuning',
    numVirtualTokens: 20,
  });
});

test('options are read as the flags and the file write them', async () => {
  const { method, training } = await parseConfig(
    `${least}method: { type: p-tuning, encoder-num-layers: "3", ENCODER_HIDDEN_SIZE: 8 }`,
  );
  expect(method).toEqual({
    type: 'p-tuning',
    numVirtualTokens: 20,
    encoderNumLayers: 3,
    encoderHiddenSize: 8,
  });
  expect(training.learningRate).toBe(5e-3);
  expect(
    (await parseConfig(`${least}method: p-tuning\ntraining: { lr: 1e-3, steps: 2 }`)).training.learningRate,
  ).toBe(1e-3);
});

test('a key of the training and one of the method share a flag: the method has a longer one', async () => {
  const flags = { method: 'adalora', beta1: '0.8', 'method-beta1': '0.7' };
  const { method, training } = await parseConfig(least, { flags });
  expect(method).toEqual({ type: 'adalora', beta1: 0.7 });
  expect(training.beta1).toBe(0.8);
});

test('of a flag, commas make lists, and equals signs numbers by name', async () => {
  const flags = { method: 'vera', 'target-modules': 'q_proj,v_proj', 'layers-to-transform': '0,2', r: '16' };
  const { method } = await parseConfig(`${least}method: { targetModules: k_proj }`, { flags });
  expect(method).toEqual({
    type: 'vera',
    targetModules: ['q_proj', 'v_proj'],
    layersToTransform: [0, 2],
    r: 16,
  });
  const bottleneck = { method: 'bottleneck', 'reduction-factor': '1=4,default=16' };
  expect((await parseConfig(least, { flags: bottleneck })).method.reductionFactor).toEqual({
    1: 4,
    default: 16,
  });
});
