import { AdamW } from '@graftjs/optim';
import type { AdapterConfig } from '@graftjs/peft';
import { evaluate } from '@graftjs/reference';
import { gradients, type Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, batchOf, distance } from './bench.ts';
import type { CellFacts, TunerCell } from './cell-facts.ts';
import { modelTypes } from './models.ts';
import type { Cell, TunerCase } from './tuner-case.ts';

/** A cell, which may give what it measured. */
type CellTest = (make: () => Bench, tried: TunerCase) => Promise<CellFacts> | Promise<void>;

/**
 * The tests that every tuner passes, on every architecture that it applies to. Call it in a test file:
 *
 * ```ts
 * testTuner({ name: 'LoRA', tuner: lora, config: () => loraConfig(), parameterCount: (model) => … });
 * ```
 */
export function testTuner<Config extends AdapterConfig>(tried: TunerCase<Config>): void {
  const plain = tried as unknown as TunerCase;
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu();
  });
  afterAll(() => gpu?.close());
  describe.each(modelTypes.filter((type) => tried.skipModels?.[type] === undefined))(
    `${tried.name} on %s`,
    (modelType) => {
      for (const [name, run] of Object.entries(tests) as [Cell, CellTest][])
        if (tried.skip?.[name] === undefined)
          test(name, async ({ task }) => {
            const { name: method, skip = {}, skipModels = {} } = plain;
            const facts = await run(() => new Bench(gpu, plain, modelType), plain);
            const cell: TunerCell = { method, modelType, cell: name, skip, skipModels, ...(facts ?? {}) };
            Object.assign(task.meta, { tunerCell: cell });
          });
    },
  );
}

const steps = 12;

/** AdamW steps on one batch; the loss before each. */
async function train(bench: Bench, learningRate: number, count = steps): Promise<number[]> {
  const trained = bench.trained();
  const optimizer = new AdamW(trained);
  const loss = bench.loss();
  const { updates } = optimizer.update(gradients(loss, [...trained.values()]), {});
  const program = await bench.runtime.compile({ outputs: [loss], updates });
  const losses: number[] = [];
  for (let step = 0; step < count; step++) {
    optimizer.beginStep(learningRate);
    losses.push((await program.run())[0]![0]!);
  }
  return losses;
}

const tests: Readonly<Record<Cell, CellTest>> = {
  'starts as the base': async (make) => {
    const bench = make();
    const base = await bench.logits();
    await bench.add();
    expect(distance(await bench.logits(), base)).toBeLessThan(1e-6);
  },

  'trains its parameters only': async (make, tried) => {
    const bench = make();
    await bench.add();
    await bench.perturb();
    const trained = bench.trained();
    const total = [...trained.values()].reduce((n, parameter) => n + parameter.size, 0);
    expect(total).toBe(tried.parameterCount(bench.model));
    expect(bench.peft.parameterCounts().trainable).toBe(total);
    expect(bench.model.parameters().filter((parameter) => parameter.trainable)).toEqual([]);
    const values = await bench.runtime.evaluate(gradients(bench.loss(), [...trained.values()]));
    const without = [...trained.keys()].filter((_, i) => values[i]!.every((value) => value === 0));
    expect(without.filter((name) => !tried.timesZero?.test(name))).toEqual([]);
    return { parameters: total };
  },

  'leaves the base alone': async (make, tried) => {
    const bench = make();
    const [base, weights] = [await bench.logits(), await bench.weights()];
    await bench.add();
    await train(bench, tried.learningRate ?? 0.02, 3);
    const trained = await bench.logits();
    expect(distance(trained, base)).toBeGreaterThan(1e-4);
    bench.peft.disableAdapters();
    expect(await bench.logits()).toEqual(base);
    expect(await bench.weights()).toEqual(weights);
    bench.peft.enableAdapters();
    expect(await bench.logits()).toEqual(trained);
    bench.peft.unload();
    expect(await bench.logits()).toEqual(base);
  },

  merges: async (make, tried) => {
    const bench = make();
    const tolerance = tried.mergeTolerance ?? 2e-5;
    const base = await bench.logits();
    await bench.add();
    await bench.perturb();
    const adapted = await bench.logits();
    await bench.peft.merge();
    expect(distance(await bench.logits(), adapted)).toBeLessThan(tolerance);
    await bench.peft.unmerge();
    expect(distance(await bench.logits(), adapted)).toBeLessThan(tolerance);
    bench.peft.disableAdapters();
    expect(distance(await bench.logits(), base)).toBeLessThan(tolerance);
    bench.peft.enableAdapters();

    const broken = [...bench.trained().values()][0]!;
    const values = await bench.runtime.read(broken);
    const weights = await bench.weights();
    broken.set(values.map(() => Number.NaN) as Float32Array<ArrayBuffer>);
    await expect(bench.peft.merge({ safe: true })).rejects.toThrow(/not finite/);
    expect(await bench.weights()).toEqual(weights);
    broken.set(values);
    await bench.peft.mergeAndUnload({ safe: true });
    expect(bench.peft.adapters).toEqual([]);
    expect(distance(await bench.logits(), adapted)).toBeLessThan(tolerance);
  },

  'saves and loads': async (make) => {
    const bench = make();
    await bench.add();
    await bench.perturb();
    const adapted = await bench.logits();
    const files = await bench.saved();
    expect([...files.keys()].sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const other = make();
    await other.load(files);
    expect(await other.logits()).toEqual(adapted);
    expect(await other.saved()).toEqual(files);
    return { bytes: [...files.values()].reduce((sum, { length }) => sum + length, 0) };
  },

  'lives beside others': async (make) => {
    const bench = make();
    const base = await bench.logits();
    await bench.add('one', 3);
    await bench.perturb(21);
    const one = await bench.logits();
    await bench.add('two', 4);
    expect(await bench.logits()).toEqual(one);
    bench.peft.setAdapter('two');
    await bench.perturb(22);
    const two = await bench.logits();
    expect(distance(two, one)).toBeGreaterThan(1e-4);
    bench.peft.setAdapter('one');
    expect(await bench.logits()).toEqual(one);
    bench.peft.deleteAdapter('one');
    expect(bench.peft.activeAdapters).toEqual(['two']);
    expect(await bench.logits()).toEqual(two);
    bench.peft.deleteAdapter('two');
    expect(await bench.logits()).toEqual(base);
  },

  'has right gradients': async (make) => {
    const bench = make();
    await bench.add();
    await bench.perturb();
    const trained = bench.trained();
    const targets = [...trained.values()];
    const loss = bench.loss();
    const grads = gradients(loss, targets);
    const got = await bench.runtime.evaluate(grads);
    const feeds = await bench.feeds(loss);
    const analytic = evaluate(grads, feeds);
    const lossWith = (parameter: Variable, i: number, change: number): number => {
      const moved = Float64Array.from(feeds.get(parameter)!);
      moved[i]! += change;
      return evaluate([loss], new Map(feeds).set(parameter, moved))[0]![0]!;
    };
    const step = 1e-5;
    [...trained.keys()].forEach((name, k) => {
      expect(distance(got[k]!, analytic[k]!), `${name} on the device`).toBeLessThan(1e-4);
      const parameter = targets[k]!;
      const largest = analytic[k]!.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-6);
      // the entry with the largest gradient, and two others
      const steepest = analytic[k]!.findIndex((v) => Math.abs(v) === largest);
      for (const i of new Set([Math.max(steepest, 0), 0, parameter.size >> 1])) {
        const numeric = (lossWith(parameter, i, step) - lossWith(parameter, i, -step)) / (2 * step);
        expect(Math.abs(numeric - analytic[k]![i]!) / largest, `${name}[${i}]`).toBeLessThan(1e-5);
      }
    });
  },

  'accumulates batches': async (make) => {
    const bench = make();
    await bench.add();
    await bench.perturb();
    const targets = [...bench.trained().values()];
    const of = (from: number, to: number): Promise<ArrayLike<number>[]> =>
      bench.runtime.evaluate(gradients(bench.loss(batchOf(from, to)), targets));
    const [whole, first, second] = [await of(0, 2), await of(0, 1), await of(1, 2)];
    whole.forEach((gradient, k) => {
      const sum = Array.from(first[k]!, (value, i) => value + second[k]![i]!);
      expect(distance(sum, gradient)).toBeLessThan(1e-4);
    });
  },

  'refuses wrong targets': async (make, { wrongTargets }) => {
    if (!wrongTargets) return;
    const bench = make();
    const base = await bench.logits();
    await expect(bench.peft.addAdapter('wrong', wrongTargets.config)).rejects.toThrow(wrongTargets.message);
    expect(bench.peft.adapters).toEqual([]);
    expect(await bench.logits()).toEqual(base);
  },

  learns: async (make, tried) => {
    const bench = make();
    await bench.add();
    const losses = await train(bench, tried.learningRate ?? 0.02);
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.97);
  },
};
