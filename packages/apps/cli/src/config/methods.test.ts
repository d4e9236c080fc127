import { expect, test } from 'vitest';
import { ConfigError } from '../errors.ts';
import { configKeys } from './keys.ts';
import { fieldsOf, methods } from './methods.ts';
import { parseConfig } from './parse.ts';

const least = 'model: ./model\noutput: ./out\ndata: train.jsonl\n';
const thrown = (yaml: string): ConfigError => {
  try {
    parseConfig(least + yaml, { file: 'c.yaml' });
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
    'adapter config, prompt_tuning_init_text: TEXT needs it: the text to start from',
  ],
  [
    'method: prompt-tunin',
    'method.type is "prompt-tunin": it must be lora, prompt-tuning, p-tuning, prefix-tuning',
  ],
])('%s', (yaml, message) => {
  const error = thrown(yaml);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error.message).toContain(message);
});

test('virtual tokens do not go with packing, a prefix does', () => {
  const packed = (type: string): string =>
    `model: m\noutput: o\ndata: { train: t.jsonl, packing: true }\nmethod: ${type}`;
  expect(() => parseConfig(packed('prompt-tuning'))).toThrow('data.packing does not go with prompt-tuning');
  expect(parseConfig(packed('prefix-tuning')).method).toEqual({
    type: 'prefix-tuning',
    numVirtualTokens: 20,
  });
});

test('options are read as the flags and the file write them', () => {
  const { method, training } = parseConfig(
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
    parseConfig(`${least}method: p-tuning\ntraining: { lr: 1e-3, steps: 2 }`).training.learningRate,
  ).toBe(1e-3);
});

test('no key of a method is meant by what the command decides', () => {
  for (const [name, method] of Object.entries(methods)) {
    expect(configKeys.find(({ path }) => path === 'method.type')!.expects).toContain(name);
    expect(fieldsOf(method).map(([field]) => field)).not.toContain('inferenceMode');
  }
});
