import { describe, expect, test } from 'vitest';
import { parse as parseYaml, stringify } from 'yaml';
import { ConfigError } from '../errors.ts';
import { configKeys } from './keys.ts';
import { parseConfig } from './parse.ts';

const least = 'model: m\noutput: o\ndata: d.jsonl\n';
const fault = async (text: string, flags: Record<string, string> = {}): Promise<string> => {
  try {
    await parseConfig(text, { file: 'c.yaml', flags });
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('no error');
};

test('the least that is needed, with defaults for the rest', async () => {
  const config = await parseConfig(least);
  expect(config).toMatchObject({
    model: 'm',
    output: 'o',
    data: { train: 'd.jsonl', format: 'auto', heldOut: 0.05 },
    method: { type: 'lora', r: 8, alpha: 16, targetModules: 'all-linear' },
    training: { epochs: 3, batchSize: 8, learningRate: 2e-4, seed: 0 },
  });
});

test("Hugging Face's names, dashes, underscores and quoted numbers mean the same", async () => {
  const config = await parseConfig(`
base_model: m
output_dir: o
data:
  train: [a.jsonl, b.jsonl]
  max-seq-length: 128
method: { lora_alpha: "32", lora_r: 4, use_rslora: true, target_modules: [q_proj, v_proj] }
training:
  learning_rate: "1e-4"
  max_steps: 20
  gradient_accumulation_steps: 2
  per_device_train_batch_size: 3
  max_grad_norm: .5
  lr_scheduler_type: linear
  warmup_ratio: 0.1
`);
  expect(config).toMatchObject({
    model: 'm',
    output: 'o',
    data: { train: ['a.jsonl', 'b.jsonl'], maxLength: 128 },
    method: { alpha: 32, r: 4, rslora: true, targetModules: ['q_proj', 'v_proj'] },
    training: {
      learningRate: 1e-4,
      steps: 20,
      accumulate: 2,
      batchSize: 3,
      clipNorm: 0.5,
      schedule: 'linear',
      warmup: 0.1,
    },
  });
  expect(config.training.epochs).toBeUndefined();
});

test('flags win over the file; steps and epochs replace each other', async () => {
  const flags = {
    'learning-rate': '3e-4',
    steps: '7',
    'target-modules': 'q_proj,v_proj',
    rslora: 'true',
    'held-out': 'h.jsonl',
  };
  const config = await parseConfig(`${least}training: { lr: 1, epochs: 2 }`, { flags });
  expect(config.training).toMatchObject({ learningRate: 3e-4, steps: 7 });
  expect(config.training.epochs).toBeUndefined();
  expect(config.method).toMatchObject({ targetModules: ['q_proj', 'v_proj'], rslora: true });
  expect(config.data.heldOut).toBe('h.jsonl');
});

test('keys of the method and the optimizer, from the file and from flags, are one', async () => {
  const expected = {
    method: {
      excludeModules: 'layers\\.0\\..*',
      layersToTransform: [1, 3],
      rankPattern: { q_proj: 4, 'mlp\\.up_proj': 16 },
      alphaPattern: { q_proj: 2.5 },
      dora: true,
      bias: 'lora_only',
      modulesToSave: ['lm_head', 'norm'],
      targetModules: ['q_proj', 'up_proj'],
    },
    training: {
      optimizer: 'sgd',
      momentum: 0.9,
      nesterov: true,
      loraplusRatio: 16,
      keepBest: true,
      skipLimit: 2,
      recompute: 'all',
      memory: 1_500_000_000,
    },
  };
  const file = await parseConfig(`${least}
method:
  use_dora: true
  bias: lora_only
  target_modules: [q_proj, up_proj]
  exclude_modules: layers\\.0\\..*
  layers_to_transform: [1, 3]
  rank_pattern: { q_proj: 4, mlp\\.up_proj: "16" }
  alpha_pattern: { q_proj: 2.5 }
  modules_to_save: [lm_head, norm]
training: { optim: sgd, momentum: 0.9, nesterov: true, loraplus_lr_ratio: 16, keep_best: true, skip_limit: 2, gradient_checkpointing: true, memory: 1.5 GB }
`);
  expect(file).toMatchObject(expected);
  const flags = {
    dora: 'true',
    bias: 'lora_only',
    'target-modules': 'q_proj,up_proj',
    'exclude-modules': 'layers\\.0\\..*',
    'layers-to-transform': '1,3',
    'rank-pattern': 'q_proj=4,mlp\\.up_proj=16',
    'alpha-pattern': 'q_proj=2.5',
    'modules-to-save': 'lm_head,norm',
    optimizer: 'sgd',
    momentum: '.9',
    nesterov: 'true',
    'loraplus-ratio': '16',
    'keep-best': 'true',
    'skip-limit': '2',
    recompute: 'all',
    memory: '1500000000',
  };
  expect(await parseConfig(least, { flags })).toEqual(file);
  expect(await parseConfig(stringify(file))).toEqual(file);
  const one = await parseConfig(`${least}method: { layers_to_transform: 2, target_modules: q_proj }`);
  expect(one.method).toMatchObject({ layersToTransform: 2, targetModules: ['q_proj'] });
});

test('a comma in a regular expression does not make a list', async () => {
  const flags = { 'target-modules': '.*\\.(q|v)_proj{1,2}' };
  expect((await parseConfig(least, { flags })).method.targetModules).toBe('.*\\.(q|v)_proj{1,2}');
});

test('a resolved configuration reads back as itself', async () => {
  const config = await parseConfig(`${least}method: { dropout: 0.1 }\ntraining: { steps: 5 }`);
  expect(await parseConfig(stringify(config))).toEqual(config);
  expect(parseYaml(stringify(config))).toEqual(JSON.parse(JSON.stringify(config)));
});

describe('faults say where, what, and what to do', () => {
  test.each([
    [`${least}trainning:\n  steps: 1`, 'c.yaml:4:1: unknown key trainning; did you mean training?'],
    [
      `${least}training:\n  learnin_rate: 1`,
      'c.yaml:5:3: unknown key training.learnin_rate; did you mean learningRate?',
    ],
    [
      `${least}learning_rate: 1`,
      'c.yaml:4:1: unknown key learning_rate; it belongs under training:, as learningRate',
    ],
    [
      `${least}method: { steps: 3 }`,
      'c.yaml:4:11: unknown key method.steps; it belongs under training:, as steps',
    ],
    [`${least}zebra: 1`, 'c.yaml:4:1: unknown key zebra; see graft train --help'],
    [
      `${least}training:\n  lr: fast`,
      'c.yaml:5:7: training.learningRate is "fast": it must be a number above 0',
    ],
    [`${least}training:\n  lr: 0`, 'c.yaml:5:7: training.learningRate is 0: it must be a number above 0'],
    [
      `${least}training:\n  lr: .nan`,
      'c.yaml:5:7: training.learningRate is NaN: it must be a number above 0',
    ],
    [
      `${least}training: { lr: -1e-4 }`,
      'c.yaml:4:17: training.learningRate is -0.0001: it must be a number above 0',
    ],
    [`${least}method: { r: 0 }`, 'c.yaml:4:14: method.r is 0: it must be a whole number from 1 on'],
    [`${least}method: { r: 2.5 }`, 'c.yaml:4:14: method.r is 2.5: it must be a whole number from 1 on'],
    [
      `${least}method: { dropout: 1.5 }`,
      'c.yaml:4:20: method.dropout is 1.5: it must be a number from 0 to 1',
    ],
    [`${least}method: { dropout: }`, 'method.dropout is null: it must be a number from 0 to 1'],
    [`${least}method: { type: 3 }`, "c.yaml:4:17: method.type is 3: it must be a method's name"],
    [`${least}method: doraa`, 'c.yaml:4:9: method.type: there is no method "doraa"; did you mean dora?'],
    [`${least}method: ./none.js`, 'none.js: there is no such file with a method'],
    [
      `${least}method: { target_modules: [q_proj, 3] }`,
      'c.yaml:4:27: method.targetModules is ["q_proj",3]: it must be a list of names, a regular expression, or null',
    ],
    [
      `${least}training: { steps: 5, epochs: 2 }`,
      'c.yaml:4:31: training.steps and training.epochs are both given: keep one of them',
    ],
    [`${least}training: { lr: 1, learning_rate: 2 }`, 'c.yaml:4:35: training.learningRate is given twice'],
    [`${least}training: { lr: 1, lr: 2 }`, 'c.yaml:4:20: the YAML does not parse (Map keys must be unique)'],
    [
      `${least}training: { momentum: 0.9 }`,
      'c.yaml:4:23: training.momentum goes with training.optimizer: sgd only',
    ],
    [
      `${least}training: { optimizer: sgd, nesterov: true }`,
      'training.nesterov needs training.momentum above 0',
    ],
    [`${least}training: { optimizer: adam }`, 'training.optimizer is "adam": it must be adamw or sgd'],
    [
      `${least}training: { loraplus_ratio: 0.5 }`,
      'training.loraplusRatio is 0.5: it must be a number of at least 1',
    ],
    [
      `${least}method: { dora: true, lora_bias: true }`,
      'c.yaml:4:34: method.loraBias: does not go with use_dora',
    ],
    [
      `${least}method: { layers_to_transform: [0] }`,
      'c.yaml:4:32: method.layersToTransform: goes with a list of target_modules only',
    ],
    [
      `${least}method: { layers_to_transform: all }`,
      'method.layersToTransform is "all": it must be a layer index, a list of them, or null',
    ],
    [
      `${least}method: { rank_pattern: { q_proj: 0 } }`,
      'method.rankPattern is {"q_proj":0}: it must be an object of names and whole numbers from 1 on',
    ],
    [
      `${least}method: { alpha_pattern: [1] }`,
      'method.alphaPattern is [1]: it must be an object of names and numbers',
    ],
    [`${least}training: 5`, 'c.yaml:4:11: training must hold keys, such as `batchSize: 8`'],
    [
      'model: m\noutput: o\n',
      'c.yaml: data.train is missing: give a path or a list of paths, in the file or as --data',
    ],
    ['', 'c.yaml: model is missing: give a path, in the file or as --model'],
    ['- a\n- b', 'c.yaml:1:1: a configuration is a map of keys'],
    ['just words', 'c.yaml:1:1: a configuration is a map of keys'],
    [`${least}method: [`, 'c.yaml:4:10: the YAML does not parse'],
    [`model: m\n\toutput: o`, 'c.yaml:2:'],
    [
      `${least}x: !!js/function "function () {}"`,
      'c.yaml:4:4: the YAML does not parse (Unresolved tag: tag:yaml.org,2002:js/function)',
    ],
  ])('%j', async (text, message) => expect(await fault(text)).toContain(message));

  test('and those of flags name the flag', async () => {
    expect(await fault(least, { 'learning-rate': 'fast' })).toBe(
      '--learning-rate: training.learningRate is "fast": it must be a number above 0',
    );
  });

  test('a bomb of aliases is refused', async () => {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh', 'hi'].map((p) => [...p]))
      lines.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`);
    expect(await fault(`data:\n  train: &z\n${lines.map((l) => `    ${l}`).join('\n')}\nmodel: *i`)).toMatch(
      /^c\.yaml:\d+:\d+: .*(alias|Alias)/,
    );
  });

  test('every message is one line', async () => {
    expect(await fault('a:\n  - b\n c: d')).not.toContain('\n');
  });
});

test('every key has a flag of its own, a default or is required', async () => {
  const flags = configKeys.map((key) => key.flag);
  expect(new Set(flags).size).toBe(flags.length);
  expect(configKeys.filter((key) => key.required).map((key) => key.path)).toEqual([
    'model',
    'output',
    'data.train',
  ]);
});

test('no two keys of a section share a name', async () => {
  for (const section of new Set(configKeys.map((key) => key.section))) {
    const names = configKeys
      .filter((key) => key.section === section)
      .flatMap((key) => [key.name, ...(key.aliases ?? [])])
      .map((name) => name.toLowerCase());
    expect(names).toEqual([...new Set(names)]);
  }
});
