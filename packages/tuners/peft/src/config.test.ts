import { expect, test } from 'vitest';
import { commonFields, configToJson, field, floatKeys, makeConfig, parseConfig } from './config.ts';
import { ConfigError, UnsupportedConfigError } from './errors.ts';

const schema = {
  ...commonFields,
  rank: field.count('r', 8),
  dropout: field.chance('dropout', 0),
  targetModules: field.names('target_modules'),
  rankPattern: field.pattern('rank_pattern', 1),
  useOther: field.unsupported('use_other', false, 'it is not made'),
} as const;

const thrown = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

test('what is left out has its default, and all keys are written', () => {
  const config = makeConfig(schema, { rank: 4 });
  expect(config).toMatchObject({ rank: 4, dropout: 0, targetModules: null, inferenceMode: false });
  expect(configToJson(schema, { ...config, peftType: 'TOY' })).toEqual({
    task_type: null,
    base_model_name_or_path: null,
    revision: null,
    auto_mapping: null,
    inference_mode: false,
    peft_version: '0.21.2',
    r: 4,
    dropout: 0,
    target_modules: null,
    rank_pattern: {},
    use_other: false,
    peft_type: 'TOY',
  });
  expect(floatKeys(schema)).toEqual(['dropout']);
});

test('unknown keys of a file are named and dropped; unknown options are errors with a suggestion', () => {
  const { config, unknownKeys } = parseConfig(schema, { peft_type: 'TOY', r: 2, from_the_future: 1 });
  expect(config.rank).toBe(2);
  expect(unknownKeys).toEqual(['from_the_future']);
  expect(thrown(() => makeConfig(schema, { rnak: 2 } as never))).toMatchObject({
    name: 'ConfigError',
    key: 'rnak',
    message: 'adapter config, rnak: there is no such option. Did you mean rank?',
  });
});

test('values that a key cannot have are refused under the name that was used', () => {
  const error = thrown(() => parseConfig(schema, { r: 0 }));
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({
    key: 'r',
    value: 0,
    message: 'adapter config, r: must be a whole number from 1 on, got 0',
  });
  expect(thrown(() => makeConfig(schema, { rank: 1.5 }))).toMatchObject({ key: 'rank' });
  for (const bad of [
    { dropout: 1.1 },
    { dropout: '0' },
    { target_modules: '' },
    { target_modules: [1] },
    { rank_pattern: { a: 0 } },
    { rank_pattern: [] },
    { task_type: 'CAUSAL' },
    { inference_mode: 1 },
    { r: null },
  ])
    expect(() => parseConfig(schema, bad), JSON.stringify(bad)).toThrow(ConfigError);
});

test('what is known and not supported is refused unless it is the default', () => {
  expect(parseConfig(schema, { use_other: false }).unknownKeys).toEqual([]);
  const error = thrown(() => parseConfig(schema, { use_other: true }));
  expect(error).toBeInstanceOf(UnsupportedConfigError);
  expect(error).toMatchObject({
    key: 'use_other',
    value: true,
    message: 'adapter config, use_other = true is not supported: it is not made',
  });
});
