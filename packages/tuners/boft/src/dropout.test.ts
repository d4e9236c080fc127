import { Runtime } from '@graftjs/compiler';
import { Context, HostRandom, type Linear } from '@graftjs/nn';
import type { AttachContext, AttachedAdapter } from '@graftjs/peft';
import { cast, equal, iota, Variable } from '@graftjs/tensor';
import { smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { boft, boftConfig } from './boft.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

/** How many of the four blocks of a layer of 16 inputs are left out in a training pass with this seed, and which. */
async function leftOut(boftDropout: number, seed: number): Promise<number[]> {
  const model = smallModel('llama');
  const path = 'model.layers.0.self_attn.q_proj';
  const config = boftConfig({ targetModules: [path], boftDropout, initWeights: false });
  const context = {
    adapterName: 'default',
    random: new HostRandom(3),
    runtime,
    loading: false,
  } as AttachContext;
  ((await boft.attach(model, config, context)) as AttachedAdapter).setActive(true);
  const layer = [...model.namedModules()].find(([name]) => name === path)![1] as Linear;
  const unit = cast(equal(iota([16, 16], 0), iota([16, 16], 1)), 'f32');
  const pass = new Context({ training: true, seed: new Variable([2], Uint32Array.of(seed, 1)) });
  const [rotation] = await runtime.evaluate([layer.input.apply(unit, { layer, context: pass })]);
  return [0, 1, 2, 3].filter((block) =>
    [0, 1, 2, 3].every((i) => Math.abs(rotation![(4 * block + i) * 17]! - 1) < 1e-6),
  );
}

test('a share of the blocks does nothing, rounded down, others in each pass', async () => {
  expect(await leftOut(0, 1)).toEqual([]);
  const passes = [await leftOut(0.7, 1), await leftOut(0.7, 2), await leftOut(0.7, 3), await leftOut(0.7, 4)];
  expect(passes.map((blocks) => blocks.length)).toEqual([2, 2, 2, 2]);
  expect(new Set(passes.map(String)).size).toBeGreaterThan(1);
});
