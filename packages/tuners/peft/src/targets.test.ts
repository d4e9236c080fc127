import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Embedding, Linear, Module } from '@graftjs/nn';
import { beforeAll, describe, expect, test } from 'vitest';
import { PatternError, TargetError } from './errors.ts';
import { minimalTargets } from './minimal-targets.ts';
import { suffixMatch } from './python-regex.ts';
import { findTargets, type TargetConfig, type TargetSelection, targetMatcher } from './targets.ts';

interface Facts {
  readonly names: readonly string[];
  readonly selections: readonly (Readonly<Record<string, unknown>> & {
    readonly chosen: readonly string[];
    readonly excluded: readonly string[];
  })[];
  readonly patterns: readonly {
    readonly keys: readonly string[];
    readonly first: Readonly<Record<string, string>>;
  }[];
  readonly lists: readonly {
    readonly targets: readonly string[];
    readonly others: readonly string[];
    readonly shortest: readonly string[];
  }[];
}

let facts: Facts;
beforeAll(async () => {
  const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
  facts = JSON.parse(await fixtures.readText('target_matching.json'));
});

test('every selection chooses and excludes the modules that peft does', () => {
  expect(facts.selections.length).toBeGreaterThan(30);
  for (const { chosen, excluded, ...keys } of facts.selections) {
    const match = targetMatcher({
      targetModules: keys.target_modules,
      excludeModules: keys.exclude_modules ?? null,
      modulesToSave: keys.modules_to_save ?? null,
      layersToTransform: keys.layers_to_transform ?? null,
      layersPattern: keys.layers_pattern ?? null,
    } as unknown as TargetSelection);
    const said = JSON.stringify(keys);
    expect(
      facts.names.filter((name) => match(name) === 'target'),
      said,
    ).toEqual(chosen);
    expect(
      facts.names.filter((name) => match(name) === 'excluded'),
      said,
    ).toEqual(excluded);
  }
});

test('the first key of a pattern that matches is the one that peft takes', () => {
  for (const { keys, first } of facts.patterns) {
    const got = facts.names.flatMap((name) => {
      const key = keys.find((k) => suffixMatch(k).test(name));
      return key === undefined ? [] : [[name, key] as const];
    });
    expect(Object.fromEntries(got), JSON.stringify(keys)).toEqual(first);
  }
});

test('long lists are shortened as peft does', () => {
  for (const { targets, others, shortest } of facts.lists)
    expect(minimalTargets(targets, others).sort()).toEqual(shortest);
});

class Attention extends Module {
  readonly q_proj: Linear = new Linear(2, 2);
  readonly v_proj: Linear = new Linear(2, 2);
}
class Block extends Module {
  readonly self_attn: Attention = new Attention();
  readonly fc: Linear = new Linear(2, 2);
}
class Toy extends Module {
  readonly embed_tokens: Embedding = new Embedding(3, 2);
  readonly layers: Block[];
  readonly lm_head: Linear = new Linear(2, 3);

  constructor(blocks = 2) {
    super();
    this.layers = Array.from({ length: blocks }, () => new Block());
  }
}

const options = {
  supports: (module: Module): boolean => module instanceof Linear,
  kind: 'only linear layers can change',
  outputHead: 'lm_head',
  modelType: 'toy',
  defaults: { toy: ['v_proj'] },
};
const find = (config: TargetConfig, model: Module = new Toy(), change: Partial<typeof options> = {}) =>
  findTargets(model, config, { ...options, ...change });
const error = (config: TargetConfig, change: Partial<typeof options> = {}): TargetError => {
  try {
    find(config, new Toy(), change);
  } catch (e) {
    expect(e).toBeInstanceOf(TargetError);
    return e as TargetError;
  }
  throw new Error('nothing was thrown');
};

describe('targets of a model', () => {
  test('all-linear is every linear layer but the output head', () => {
    const { modules, targetModules } = find({ targetModules: 'all-linear' });
    expect([...modules.keys()]).toEqual([
      'layers.0.self_attn.q_proj',
      'layers.0.self_attn.v_proj',
      'layers.0.fc',
      'layers.1.self_attn.q_proj',
      'layers.1.self_attn.v_proj',
      'layers.1.fc',
    ]);
    expect(targetModules).toEqual([...modules.keys()]);
    expect([...find({ targetModules: 'All-Linear' }).modules.keys()]).toEqual(targetModules);
  });

  test('all-linear of many layers is saved as the ends of their names', () => {
    const { modules, targetModules } = find({ targetModules: 'all-linear' }, new Toy(7));
    expect(modules.size).toBe(21);
    expect([...targetModules].sort()).toEqual(['fc', 'q_proj', 'v_proj']);
  });

  test('null is the default of the model type, and an error where there is none', () => {
    const { modules, targetModules } = find({ targetModules: null });
    expect([...modules.keys()]).toEqual(['layers.0.self_attn.v_proj', 'layers.1.self_attn.v_proj']);
    expect(targetModules).toEqual(['v_proj']);
    expect(error({ targetModules: null }, { modelType: 'other' })).toMatchObject({
      asked: null,
      available: ['q_proj', 'v_proj', 'fc', 'lm_head'],
      message: expect.stringContaining('model type other'),
    });
  });

  test('a name that matches nothing is answered with what there is and what is nearest', () => {
    expect(error({ targetModules: ['q_porj'] })).toMatchObject({
      asked: ['q_porj'],
      available: ['q_proj', 'v_proj', 'fc', 'lm_head'],
      nearest: 'q_proj',
      message:
        'target_modules ["q_porj"] matches no module. Did you mean "q_proj"? The model has q_proj, v_proj, fc, lm_head',
    });
    expect(error({ targetModules: ['attention.zzz'] }).nearest).toBeUndefined();
  });

  test('a name given as a string is a regular expression, and the error says so', () => {
    expect(error({ targetModules: 'q_proj' }).message).toContain('give a list');
  });

  test('names that match beside one that does not are used, and the other is reported', () => {
    const { modules, warnings } = find({ targetModules: ['q_proj', 'v_prj'] });
    expect(modules.size).toBe(2);
    expect(warnings).toEqual(['target_modules: "v_prj" matches no module. Did you mean "v_proj"?']);
  });

  test('where nothing is left after exclusion, the error names what excluded it', () => {
    expect(error({ targetModules: ['q_proj'], excludeModules: ['self_attn.q_proj'] }).message).toContain(
      'after exclude_modules ["self_attn.q_proj"]',
    );
    expect(error({ targetModules: ['q_proj'], layersToTransform: [7] }).message).toContain(
      'layers_to_transform [7]',
    );
    expect(find({ targetModules: ['q_proj'], excludeModules: ['k_proj'] }).warnings).toEqual([
      'exclude_modules ["k_proj"] excluded nothing',
    ]);
  });

  test('a module that the tuner cannot change is refused by name', () => {
    expect(error({ targetModules: ['embed_tokens'] }).message).toContain(
      'target embed_tokens (Embedding): only linear layers can change',
    );
    expect(error({ targetModules: ['self_attn'] }).message).toContain(
      'target layers.0.self_attn (Attention)',
    );
  });

  test('regular expressions that are none, or that only Python has, are refused', () => {
    expect(() => find({ targetModules: '(q_proj' })).toThrow(PatternError);
    expect(() => find({ targetModules: 'a++b' })).toThrow('a++b');
    expect(() => find({ targetModules: '(?x) a b' })).toThrow('has no counterpart');
    expect(() => find({ targetModules: '[q_proj' })).toThrow('not closed');
  });
});
