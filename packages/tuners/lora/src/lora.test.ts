/** LoRA and PeftModel on a small model of linear layers. */
import { fileURLToPath } from 'node:url';
import { type MemoryFiles, memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import {
  Context,
  type ContextOptions,
  DropoutSeedError,
  Embedding,
  HostRandom,
  Linear,
  Module,
  normalArray,
  type Parameter,
} from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import {
  AdapterConflictError,
  AdapterNameError,
  AdapterStateError,
  ConfigError,
  MergedError,
  MergeError,
  PeftModel,
  TargetError,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { gradients, type HostArray, mean, mul, type Tensor, tanh, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LoraOptions, loraConfig, parseLoraConfig } from './config.ts';
import { defaultTargets } from './default-targets.ts';
import { lora } from './lora.ts';

class Block extends Module {
  readonly q_proj: Linear = new Linear(8, 8);
  readonly v_proj: Linear = new Linear(8, 4, { bias: true });
  readonly o_proj: Linear = new Linear(4, 8);

  forward(x: Tensor, context: Context): Tensor {
    const mixed = tanh(this.v_proj.forward(this.q_proj.forward(x, context), context));
    return this.o_proj.forward(mixed, context);
  }
}

/** Ids through an embedding, two blocks and a head that shares the embedding's weight. */
class Toy extends Module {
  readonly embed: Embedding = new Embedding(12, 8);
  readonly layers: Block[] = [new Block(), new Block()];
  readonly lm_head: Linear = new Linear(8, 12, { weight: this.embed.weight });

  forward(ids: Tensor, context: Context): Tensor {
    let hidden = this.embed.forward(ids, context);
    for (const layer of this.layers) hidden = layer.forward(hidden, context);
    return this.lm_head.forward(hidden, context);
  }
}

let gpu: Gpu;
let runtime: Runtime;
let model: PeftModel<Toy>;
let toy: Toy;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());
beforeEach(() => {
  ({ model, toy } = fresh());
});

function fresh(): { model: PeftModel<Toy>; toy: Toy } {
  const base = new Toy();
  const random = new HostRandom(7);
  for (const p of base.parameters()) p.set(normalArray(p.size, 0.5, random));
  return { toy: base, model: new PeftModel(base, { runtime, tuners: [lora], modelType: 'llama' }) };
}

const ids = new Variable([3], Int32Array.of(0, 3, 4));
const output = async (m: Toy = toy, options: ContextOptions = {}): Promise<HostArray> =>
  (await runtime.evaluate([m.forward(ids, new Context(options))]))[0]!;
const valuesOf = async (parameters: Iterable<Parameter>): Promise<HostArray[]> => {
  const all: HostArray[] = [];
  for (const p of parameters) all.push((await runtime.read(p)).slice() as HostArray);
  return all;
};
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));
const thrown = async (run: () => unknown): Promise<unknown> => {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};
const loss = (m: Toy, context = new Context({ training: true })): Tensor => {
  const y = m.forward(ids, context);
  return mean(mul(y, y));
};

/** Gives an adapter other values than its initial ones, so that it changes the output. */
async function train(m: PeftModel<Toy>, steps = 3): Promise<void> {
  const trained = m.trainableParameters();
  const optimizer = new AdamW(trained, { lr: 0.05 });
  const { updates } = optimizer.update(gradients(loss(m.model), [...trained.values()]));
  const program = await runtime.compile({ updates });
  for (let step = 0; step < steps; step++) {
    optimizer.beginStep();
    await program.run();
  }
}

const add = (name: string, options: LoraOptions = {}, seed = 0): Promise<unknown> =>
  model.addAdapter(name, loraConfig({ r: 4, loraAlpha: 6, targetModules: 'all-linear', ...options }), {
    seed,
  });

describe('a new adapter', () => {
  test.each([true, 'gaussian'] as const)('leaves the output as it was, to the bit (%s)', async (init) => {
    const before = await output();
    await add('default', { initLoraWeights: init });
    expect(await output()).toEqual(before);
    expect(await output(toy, { training: true })).toEqual(before);
  });

  test('changes it where it starts at random', async () => {
    const before = await output();
    await add('default', { initLoraWeights: false });
    expect(distance(await output(), before)).toBeGreaterThan(1e-3);
  });

  test('has A uniform in ±1/√in and B zero; A of gaussian deviates by 1/r', async () => {
    await add('default', { r: 64, targetModules: ['q_proj'] });
    const [a, b] = await valuesOf(model.trainableParameters().values());
    expect(a!.length).toBe(64 * 8);
    const bound = 1 / Math.sqrt(8);
    expect(Math.max(...a!.map(Math.abs))).toBeLessThanOrEqual(bound);
    const deviation = (v: HostArray): number =>
      Math.sqrt(Array.from(v).reduce((sum, x) => sum + x * x, 0) / v.length);
    // A standard error of the deviation of 512 numbers is 2 to 3 %.
    expect(Math.abs(deviation(a!) / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.1);
    expect(b!.every((x) => x === 0)).toBe(true);

    await add('other', { r: 64, targetModules: ['q_proj'], initLoraWeights: 'gaussian' });
    model.setAdapter('other');
    const [gaussian] = await valuesOf(model.trainableParameters().values());
    expect(Math.abs(deviation(gaussian!) * 64 - 1)).toBeLessThan(0.1);
    expect(Math.max(...gaussian!.map(Math.abs)) * 64).toBeGreaterThan(2);
  });

  test('starts from its seed alone', async () => {
    await add('a', {}, 1);
    await add('b', {}, 1);
    await add('c', {}, 2);
    const [a, b, c] = await Promise.all(
      ['a', 'b', 'c'].map((name) => {
        model.setAdapter(name);
        return valuesOf(model.trainableParameters().values());
      }),
    );
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });

  test('alone is trained: the base stays the same to the bit, and its parameters have names', async () => {
    await add('default');
    const frozen = toy.parameters();
    expect(frozen.every((p) => !p.trainable)).toBe(true);
    const before = await valuesOf(frozen);
    const trained = model.trainableParameters();
    expect([...trained.keys()].slice(0, 2)).toEqual([
      'base_model.model.layers.0.q_proj.lora_A.default.weight',
      'base_model.model.layers.0.q_proj.lora_B.default.weight',
    ]);
    expect(trained.size).toBe(12);
    const [q, v, o] = [4 * (8 + 8), 4 * (8 + 4), 4 * (4 + 8)];
    expect(model.parameterCounts()).toEqual({
      trainable: 2 * (q + v + o),
      total: 2 * (q + v + o) + frozen.reduce((n, p) => n + p.size, 0),
    });
    const start = await valuesOf(trained.values());
    const wanted = gradients(loss(toy), frozen);
    expect(wanted.length).toBe(frozen.length);
    await train(model);
    expect(await valuesOf(frozen)).toEqual(before);
    const end = await valuesOf(trained.values());
    for (const i of end.keys()) expect(distance(end[i]!, start[i]!), `parameter ${i}`).toBeGreaterThan(1e-3);
  });

  test('costs no gradient of a frozen weight: the program grows by the products of A and B only', async () => {
    await add('default', { targetModules: ['layers.1.o_proj'] });
    const trained = [...model.trainableParameters().values()];
    const program = await runtime.compile({ outputs: gradients(loss(toy), trained) });
    const all = await runtime.compile({ outputs: gradients(loss(toy), [...toy.parameters(), ...trained]) });
    expect(program.explain().flops).toBeLessThan(0.7 * all.explain().flops);
  });
});

describe('the change', () => {
  const scaled = async (options: LoraOptions, scale: number): Promise<void> => {
    await add('default', { targetModules: ['layers.0.v_proj'], initLoraWeights: false, ...options });
    const [a, b] = await valuesOf(model.trainableParameters().values());
    const layer = toy.layers[0]!.v_proj;
    const x = new Variable([1, 8], normalArray(8, 1, new HostRandom(3)));
    const xs = (await runtime.read(x)).slice();
    const [got] = await runtime.evaluate([layer.forward(x, new Context())]);
    model.disableAdapters();
    const [base] = await runtime.evaluate([layer.forward(x, new Context())]);
    const r = a!.length / 8;
    for (let o = 0; o < 4; o++) {
      let change = 0;
      for (let k = 0; k < r; k++) {
        let low = 0;
        for (let i = 0; i < 8; i++) low += xs[i]! * a![k * 8 + i]!;
        change += low * b![o * r + k]!;
      }
      expect(Math.abs(got![o]! - (base![o]! + scale * change))).toBeLessThan(2e-6);
    }
  };

  test('is alpha / r · B A x', () => scaled({}, 1.5));
  test('is alpha / √r · B A x with rsLoRA', () => scaled({ useRslora: true }, 3));
  test('has the rank and alpha of the first pattern that matches', () =>
    scaled(
      {
        rankPattern: { 'layers.1.v_proj': 3, v_proj: 8 },
        alphaPattern: { 'layers\\.\\d\\.v_proj': 10 },
      },
      1.25,
    ));

  test('is dropped in training by the seed, and never otherwise', async () => {
    await add('default', { loraDropout: 0.5, initLoraWeights: false });
    const still = await output();
    expect(await output()).toEqual(still);
    const seeded = (seed: number): Promise<HostArray> =>
      output(toy, { training: true, seed: new Variable([2], Uint32Array.of(seed, 0)) });
    expect(await seeded(1)).toEqual(await seeded(1));
    expect(distance(await seeded(1), await seeded(2))).toBeGreaterThan(1e-4);
    expect(distance(await seeded(1), still)).toBeGreaterThan(1e-4);
    expect(await thrown(() => output(toy, { training: true }))).toBeInstanceOf(DropoutSeedError);
  });
});

describe('several adapters', () => {
  test('switch, add up, and leave the base when disabled', async () => {
    const base = await output();
    await add('a', { targetModules: ['o_proj'] }, 1);
    await add('b', { targetModules: ['layers.1.o_proj'] }, 2);
    expect(model.activeAdapters).toEqual(['a']);
    await train(model);
    const a = await output();
    model.setAdapter('b');
    expect([...model.trainableParameters().keys()].every((name) => name.includes('.b.'))).toBe(true);
    expect(await output()).toEqual(base);
    await train(model);
    const b = await output();
    expect(distance(a, base)).toBeGreaterThan(1e-3);
    expect(distance(b, base)).toBeGreaterThan(1e-3);

    model.setAdapter('a');
    expect(await output()).toEqual(a);
    model.setAdapter(['a', 'b']);
    const both = await output();
    expect(distance(both, a)).toBeGreaterThan(1e-3);
    expect(model.trainableParameters().size).toBe(6);
    model.setAdapter(['b', 'a']);
    expect(await output()).toEqual(both);

    model.disableAdapters();
    expect(await output()).toEqual(base);
    expect(model.trainableParameters().size).toBe(0);
    model.enableAdapters();
    expect(await output()).toEqual(both);
    expect(
      (await runtime.evaluate([model.withoutAdapters((m) => m.forward(ids, new Context()))]))[0],
    ).toEqual(base);
    expect(model.enabled).toBe(true);
    expect(await output()).toEqual(both);
  });

  test('on one layer add their changes to its output', async () => {
    const layer = toy.layers[0]!.q_proj;
    const x = new Variable([1, 8], normalArray(8, 1, new HostRandom(3)));
    const y = async (): Promise<HostArray> => (await runtime.evaluate([layer.forward(x, new Context())]))[0]!;
    const base = await y();
    await add('a', { initLoraWeights: false, targetModules: ['q_proj'] }, 1);
    const a = await y();
    await add('b', { initLoraWeights: false, targetModules: ['q_proj'], loraAlpha: 16 }, 2);
    model.setAdapter('b');
    const b = await y();
    model.setAdapter(['a', 'b']);
    expect(
      distance(
        await y(),
        a.map((v, i) => v + b[i]! - base[i]!),
      ),
    ).toBeLessThan(5e-6);
    expect(distance(a, b)).toBeGreaterThan(1e-2);
  });

  test('are deleted: their effect is gone and another becomes active', async () => {
    const base = await output();
    await add('a', { initLoraWeights: false }, 1);
    await add('b', {}, 2);
    model.deleteAdapter('a');
    expect(model.adapters).toEqual(['b']);
    expect(model.activeAdapters).toEqual(['b']);
    expect(await output()).toEqual(base);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual(['lora b']);
    model.deleteAdapter('b');
    expect(model.activeAdapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
    await add('a', { initLoraWeights: false }, 1);
    expect(distance(await output(), base)).toBeGreaterThan(1e-3);
  });

  test('are called by names that exist and are names', async () => {
    await add('a');
    for (const bad of ['a', '', 'x.y', 'x/y', 'x y'])
      expect(await thrown(() => add(bad)), bad).toBeInstanceOf(AdapterNameError);
    for (const run of [
      () => model.setAdapter('c'),
      () => model.setAdapter(['a', 'c']),
      () => model.deleteAdapter('c'),
      () => model.configOf('c'),
      () => model.encodeAdapter('c'),
    ])
      expect(await thrown(run)).toMatchObject({ name: 'AdapterNameError', adapter: 'c', known: ['a'] });
    expect(model.adapters).toEqual(['a']);
    expect(model.activeAdapters).toEqual(['a']);
  });
});

describe('merging', () => {
  test.each([false, true])('gives the same output, and unmerging the base (safe: %s)', async (safe) => {
    const base = await output();
    const weights = await valuesOf(toy.parameters());
    await add('a', { initLoraWeights: false }, 1);
    await add('b', { initLoraWeights: false, useRslora: true }, 2);
    model.setAdapter(['a', 'b']);
    const both = await output();
    await model.merge({ safe });
    expect(model.mergedAdapters).toEqual(['a', 'b']);
    expect(distance(await output(), both)).toBeLessThan(2e-5);
    expect(distance((await valuesOf([toy.layers[0]!.q_proj.weight]))[0]!, weights[1]!)).toBeGreaterThan(1e-3);
    for (const run of [
      () => model.merge(),
      () => model.setAdapter('a'),
      () => model.disableAdapters(),
      () => model.deleteAdapter('a'),
      () => model.trainableParameters(),
      () => model.unload(),
      () => add('c'),
    ])
      expect(await thrown(run)).toBeInstanceOf(MergedError);
    await model.unmerge();
    expect(distance(await output(), both)).toBeLessThan(2e-5);
    model.disableAdapters();
    expect(distance(await output(), base)).toBeLessThan(2e-5);
    for (const [i, values] of (await valuesOf(toy.parameters())).entries())
      expect(distance(values, weights[i]!)).toBeLessThan(1e-6);
  });

  test('and unloading leaves a plain model with the same output', async () => {
    await add('a', { initLoraWeights: false });
    await add('b');
    const before = await output();
    const merged = await model.mergeAndUnload();
    expect(merged).toBe(toy);
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
    expect(distance(await output(), before)).toBeLessThan(2e-5);
  });

  test('a layer that shares its weight leaves the other place as it was', async () => {
    await add('a', { initLoraWeights: false, targetModules: ['lm_head'] });
    const shared = await valuesOf([toy.embed.weight]);
    const before = await output();
    await model.merge({ safe: true });
    expect(toy.lm_head.weight).not.toBe(toy.embed.weight);
    expect(distance(await output(), before)).toBeLessThan(2e-5);
    expect(await valuesOf([toy.embed.weight])).toEqual(shared);
    await model.unmerge();
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    expect(await output()).toEqual(before);
  });

  test('safe merging refuses what is not finite and changes nothing', async () => {
    await add('a', { initLoraWeights: false }, 1);
    await add('b', { initLoraWeights: false }, 2);
    model.setAdapter('b');
    const last = [...model.trainableParameters().values()].at(-1)!;
    last.set(new Float32Array(last.size).fill(Number.NaN));
    const weights = await valuesOf(toy.parameters());
    model.setAdapter('a');
    const a = await output();
    model.setAdapter(['a', 'b']);
    const error = await thrown(() => model.merge({ safe: true }));
    expect(error).toBeInstanceOf(MergeError);
    expect(error).toMatchObject({ adapter: 'b', message: expect.stringContaining('layers.1.o_proj') });
    expect(model.mergedAdapters).toEqual([]);
    for (const [i, values] of (await valuesOf(toy.parameters())).entries())
      expect(distance(values, weights[i]!)).toBeLessThan(1e-6);
    model.setAdapter('a');
    expect(distance(await output(), a)).toBeLessThan(2e-5);
  });

  test('needs adapters that are enabled', async () => {
    await add('a');
    model.disableAdapters();
    expect(await thrown(() => model.merge())).toBeInstanceOf(MergeError);
  });

  test('unload gives back the base to the bit', async () => {
    const base = await output();
    await add('a', { initLoraWeights: false, bias: 'all', modulesToSave: ['lm_head'] });
    await train(model);
    model.unload();
    expect(await output()).toEqual(base);
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    expect(model.adapters).toEqual([]);
  });
});

describe('what is trained beside the matrices', () => {
  test('copies of whole modules, which leave the base and what it shares alone', async () => {
    const base = await output();
    const report = await model.addAdapter(
      'a',
      loraConfig({ targetModules: 'all-linear', modulesToSave: ['lm_head', 'layers.0.o_proj'] }),
    );
    expect(report.targets).not.toContain('layers.0.o_proj');
    expect(report.warnings).toEqual([
      "lm_head.weight is trained alone: the other modules that share it keep the base's",
    ]);
    expect(await output()).toEqual(base);
    const names = [...model.trainableParameters().keys()].filter((name) => !name.includes('lora_'));
    expect(names).toEqual([
      'base_model.model.layers.0.o_proj.modules_to_save.a.weight',
      'base_model.model.lm_head.modules_to_save.a.weight',
    ]);
    const shared = await valuesOf([toy.embed.weight]);
    await train(model);
    expect(await valuesOf([toy.embed.weight])).toEqual(shared);
    const trained = await output();
    expect(distance(trained, base)).toBeGreaterThan(1e-3);
    model.disableAdapters();
    expect(await output()).toEqual(base);
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    model.enableAdapters();
    expect(await output()).toEqual(trained);
    await model.mergeAndUnload();
    expect(distance(await output(), trained)).toBeLessThan(2e-5);
  });

  test('biases, of all layers or of the targets, on disk where peft has them', async () => {
    const biases = async (bias: 'all' | 'lora_only', targetModules: string[]): Promise<string[]> => {
      ({ model, toy } = fresh());
      const base = await output();
      await add('default', { bias, targetModules });
      const before = (await output()) && base;
      await train(model);
      model.disableAdapters();
      expect(await output()).toEqual(before);
      const files = await model.encodeAdapter();
      const tensors = await openSafetensors(
        await memoryFolder(new Map(Object.entries(files))).open('adapter_model.safetensors'),
      );
      return [...tensors.tensors.keys()].filter((key) => !key.includes('lora_')).sort();
    };
    expect(await biases('all', ['layers.0.v_proj'])).toEqual([
      'base_model.model.layers.0.v_proj.base_layer.bias',
      'base_model.model.layers.1.v_proj.bias',
    ]);
    expect(await biases('lora_only', ['layers.0.v_proj'])).toEqual([
      'base_model.model.layers.0.v_proj.base_layer.bias',
    ]);
    expect(await biases('lora_only', ['q_proj'])).toEqual([]);
  });

  test('two adapters with copies of the same weights are not active together', async () => {
    await add('a', { bias: 'all' });
    await add('b', { bias: 'lora_only' });
    await add('c');
    model.setAdapter(['a', 'c']);
    expect(await thrown(() => model.setAdapter(['a', 'b']))).toBeInstanceOf(AdapterConflictError);
    expect(model.activeAdapters).toEqual(['a', 'c']);
  });

  test('modules that are not there are refused with the nearest name, and nothing is left behind', async () => {
    const error = await thrown(() => add('a', { modulesToSave: ['lm_heda'] }));
    expect(error).toBeInstanceOf(TargetError);
    expect(error).toMatchObject({ nearest: 'lm_head' });
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
  });
});

describe('files', () => {
  const saved = async (options: LoraOptions): Promise<MemoryFiles> => {
    await add('mine', { initLoraWeights: false, ...options });
    await train(model);
    const files: MemoryFiles = new Map();
    await model.saveAdapter(memoryFolder(files), 'mine');
    return files;
  };

  test('what is saved loads to the same bits, also the copies', async () => {
    const files = await saved({ bias: 'all', modulesToSave: ['lm_head'] });
    const before = await output();
    const trained = await valuesOf(model.trainableParameters().values());
    const other = fresh();
    const report = await other.model.loadAdapter(memoryFolder(files), 'theirs');
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });
    expect(await valuesOf(other.model.trainableParameters().values())).toEqual(trained);
    expect(await output(other.toy)).toEqual(before);
    const again: MemoryFiles = new Map();
    await other.model.saveAdapter(memoryFolder(again), 'theirs');
    expect([...again.keys()].sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    for (const [name, bytes] of files) expect(again.get(name), name).toEqual(bytes);
    expect(Object.keys(await model.encodeAdapter('mine')).sort()).toEqual([...files.keys()].sort());
  });

  test('an adapter that is loaded frozen is not trained', async () => {
    const files = await saved({});
    const other = fresh();
    await other.model.loadAdapter(memoryFolder(files), 'a', { trainable: false });
    expect(other.model.trainableParameters().size).toBe(0);
    expect(await output(other.toy)).toEqual(await output());
  });

  test('tensors that do not fit are refused by name, or reported where asked, and the model stays', async () => {
    const files = await saved({ targetModules: ['q_proj', 'v_proj'] });
    const config = JSON.parse(new TextDecoder().decode(files.get('adapter_config.json')));
    const withConfig = (change: object): ReturnType<typeof memoryFolder> =>
      memoryFolder(
        new Map([
          ...files,
          ['adapter_config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...change }))],
        ]),
      );
    const other = fresh();
    const base = await output(other.toy);
    const error = await thrown(() =>
      other.model.loadAdapter(withConfig({ target_modules: ['q_proj', 'o_proj'] })),
    );
    expect(error).toBeInstanceOf(AdapterStateError);
    expect((error as AdapterStateError).missing).toContain('base_model.model.layers.0.o_proj.lora_A.weight');
    expect((error as AdapterStateError).unexpected).toContain(
      'base_model.model.layers.1.v_proj.lora_B.weight',
    );
    const shape = await thrown(() => other.model.loadAdapter(withConfig({ r: 8 })));
    expect(shape).toBeInstanceOf(AdapterStateError);
    expect((shape as AdapterStateError).mismatches[0]).toEqual({
      name: 'base_model.model.layers.0.q_proj.lora_A.weight',
      expected: [8, 8],
      got: [4, 8],
    });
    expect(other.model.adapters).toEqual([]);
    expect(other.toy.layers[0]!.q_proj.output.keys).toEqual([]);
    expect(await output(other.toy)).toEqual(base);

    const report = await other.model.loadAdapter(
      withConfig({ target_modules: ['q_proj', 'o_proj'], of_tomorrow: 1 }),
      'some',
      { strict: false },
    );
    expect(report.missing.length).toBe(4);
    expect(report.unexpected.length).toBe(4);
    expect(report.unknownConfigKeys).toEqual(['of_tomorrow']);
    expect(other.model.adapters).toEqual(['some']);
  });

  test('base weights that peft saves with a head hold for this adapter only', async () => {
    const files = await saved({ targetModules: ['lm_head'] });
    const folder = memoryFolder(files);
    const tensors = await openSafetensors(await folder.open('adapter_model.safetensors'));
    const { encodeSafetensors } = await import('@graftjs/checkpoint');
    const doubled = ((await valuesOf([toy.embed.weight]))[0] as Float32Array).map((x) => 2 * x);
    const entries = await Promise.all(
      [...tensors.tensors].map(
        async ([key, { shape }]) => [key, { shape, data: await tensors.readFloat32(key) }] as const,
      ),
    );
    const key = 'base_model.model.lm_head.base_layer.weight';
    const bytes = encodeSafetensors(new Map([...entries, [key, { shape: [12, 8], data: doubled }]]));
    await folder.writeAtomic('adapter_model.safetensors', bytes);
    const other = fresh();
    const base = await output(other.toy);
    const report = await other.model.loadAdapter(folder);
    expect(report).toMatchObject({ missing: [], unexpected: [] });
    expect(other.toy.lm_head.weight).toBe(other.toy.embed.weight);
    expect(await valuesOf([other.toy.embed.weight])).toEqual([doubled]);
    expect([...other.model.trainableParameters().keys()].every((name) => name.includes('lora_'))).toBe(true);
    other.model.disableAdapters();
    expect(await output(other.toy)).toEqual(base);
  });

  test('configs are those of peft: every key, default targets, the order of a set aside', async () => {
    const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
    const json = async (name: string) => JSON.parse(await fixtures.readText(name));
    const defaults = await json('lora-config-defaults/adapter_config.json');
    expect(lora.configToJson(loraConfig({ r: 8, taskType: 'CAUSAL_LM' }))).toEqual(defaults);
    expect(parseLoraConfig(defaults)).toEqual({
      config: loraConfig({ taskType: 'CAUSAL_LM' }),
      unknownKeys: [],
    });
    const facts = await json('lora_target_modules.json');
    expect(defaultTargets).toEqual(facts.target_modules);

    const named = new PeftModel(toy, {
      runtime,
      tuners: [lora],
      modelType: 'llama',
      baseModel: 'llama-gqa-tied',
    });
    await named.addAdapter('default', loraConfig({ taskType: 'CAUSAL_LM' }));
    const files = await named.encodeAdapter();
    const text = new TextDecoder().decode(files['adapter_config.json']);
    const theirs = await fixtures.readText('lora-config-saved/adapter_config.json');
    const sortTargets = (config: { target_modules: string[] }) => ({
      ...config,
      target_modules: config.target_modules.sort(),
    });
    expect(sortTargets(JSON.parse(text))).toEqual(sortTargets(JSON.parse(theirs)));
    const lines = (s: string): string[] =>
      s
        .split('\n')
        .map((line) => line.replace(/,$/, ''))
        .sort();
    expect(lines(text)).toEqual(lines(theirs));
  });

  test('a method without a tuner is refused', async () => {
    const files = await saved({});
    const config = { peft_type: 'IA3' };
    files.set('adapter_config.json', new TextEncoder().encode(JSON.stringify(config)));
    expect(await thrown(() => fresh().model.loadAdapter(memoryFolder(files)))).toMatchObject({
      name: 'UnsupportedConfigError',
      key: 'peft_type',
      message: expect.stringContaining('tuners of this model are LORA'),
    });
  });
});

describe('configs that are refused', () => {
  test.each([
    { use_dora: true },
    { lora_bias: true },
    { use_qalora: true },
    { init_lora_weights: 'pissa' },
    { init_lora_weights: 'olora' },
    { alora_invocation_tokens: [1] },
    { layer_replication: [[0, 1]] },
    { target_parameters: ['experts'] },
    { trainable_token_indices: [1] },
  ])('for what they would need: %j', async (json) => {
    const error = await thrown(() => parseLoraConfig(json));
    expect(error).toBeInstanceOf(UnsupportedConfigError);
    expect(error).toMatchObject({ key: Object.keys(json)[0] });
  });

  test.each([
    { r: 0 },
    { lora_dropout: -0.1 },
    { bias: 'some' },
    { target_modules: '.*', layers_to_transform: [0] },
    { target_modules: '.*', layers_pattern: 'layers' },
    { target_modules: ['q_proj'], layers_pattern: 'layers' },
    { rank_pattern: { q_proj: 0 } },
  ])('for what is wrong with them: %j', async (json) => {
    expect(await thrown(() => parseLoraConfig(json))).toBeInstanceOf(ConfigError);
  });

  test('for initial weights that can only be loaded', async () => {
    expect(await thrown(() => add('a', { initLoraWeights: 'orthogonal' }))).toBeInstanceOf(
      UnsupportedConfigError,
    );
    expect(model.adapters).toEqual([]);
  });

  test('an embedding cannot be a target yet, and wrong targets leave the model alone', async () => {
    expect(await thrown(() => add('a', { targetModules: ['embed'] }))).toMatchObject({
      name: 'TargetError',
      message: expect.stringContaining('target embed (Embedding): LoRA changes linear layers'),
    });
    expect(await thrown(() => add('a', { targetModules: ['q_porj'] }))).toMatchObject({
      name: 'TargetError',
      nearest: 'q_proj',
    });
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
  });

  test('what has no effect is said', async () => {
    const report = await model.addAdapter(
      'a',
      loraConfig({
        targetModules: ['q_proj', 'k_proj'],
        fanInFanOut: true,
        evaConfig: { rho: 2 },
        rankPattern: { o_proj: 2 },
      }),
    );
    expect(report.warnings).toEqual([
      'target_modules: "k_proj" matches no module. Did you mean "q_proj"?',
      'rank_pattern: "o_proj" matches no target',
      'eva_config has no effect with init_lora_weights = true',
      'fan_in_fan_out is true, but there are targets that store weights as [out, in]: set to false',
    ]);
    expect(model.configOf('a')).toMatchObject({ fanInFanOut: false });
  });
});
