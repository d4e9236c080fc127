/** Graft's side: adapters that are trained and written, and peft's that are loaded. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors, openSafetensors, type TensorData } from '@graftjs/checkpoint';
import { nodeFile, nodeFolder } from '@graftjs/checkpoint/node';
import type { Runtime } from '@graftjs/compiler';
import { architectures, type CausalLM, loadModel, tokenLossSum } from '@graftjs/models';
import { Context, HostRandom } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { type AdapterConfig, PeftModel, type Tuner } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';

const [rows, tokens, vocabulary] = [2, 9, 96];

export const openBase = async (base: string, runtime: Runtime): Promise<CausalLM> =>
  (await loadModel(nodeFolder(base), { architectures, runtime })).model;

/** Trains an adapter for a few steps and writes it, with the logits of a batch. */
export async function trainAndWrite(
  runtime: Runtime,
  base: string,
  { tuner, config, learningRate }: { tuner: Tuner; config: AdapterConfig; learningRate: number },
  seed: number,
  folder: string,
): Promise<void> {
  const model = await openBase(base, runtime);
  const peft = new PeftModel(model, { runtime, tuners: [tuner], baseModel: base });
  await peft.addAdapter('default', config, { seed });
  const random = new HostRandom(seed);
  const ids = Int32Array.from(
    { length: rows * tokens },
    () => 3 + Math.floor(random.uniform() * (vocabulary - 3)),
  );
  const inputIds = new Variable([rows, tokens], ids.slice());
  const logits = () => model.forward({ inputIds }, new Context());
  const trained = peft.trainableParameters();
  const optimizer = new AdamW(trained);
  const loss = mul(tokenLossSum(logits(), inputIds), 1 / (rows * (tokens - 1)));
  const { updates } = optimizer.update(gradients(loss, [...trained.values()]), {});
  const step = await runtime.compile({ updates });
  for (let i = 0; i < 3; i++) {
    optimizer.beginStep(learningRate);
    await step.run();
  }
  const last = logits();
  const [values] = await runtime.evaluate([last]);
  await peft.saveAdapter(nodeFolder(folder));
  const tensor = (dtype: 'I32' | 'F32', shape: readonly number[], data: ArrayBufferView): TensorData => ({
    dtype,
    shape: [...shape],
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'expected.safetensors'),
    encodeSafetensors(
      new Map([
        ['input_ids', tensor('I32', [rows, tokens], ids)],
        ['logits', tensor('F32', last.shape, values as Float32Array)],
      ]),
    ),
  );
}

/** How far the logits of peft's adapter are from peft's, relative to their size. @throws PeftError where it does not fit */
export async function loadAndCompare(
  runtime: Runtime,
  base: string,
  tuner: Tuner,
  folder: string,
): Promise<number> {
  const model = await openBase(base, runtime);
  const peft = new PeftModel(model, { runtime, tuners: [tuner] });
  const { unknownConfigKeys } = await peft.loadAdapter(nodeFolder(join(folder, 'adapter')));
  if (unknownConfigKeys.length > 0)
    throw new Error(`keys that are not known here: ${unknownConfigKeys.join(', ')}`);
  const expected = await openSafetensors(await nodeFile(join(folder, 'expected.safetensors')));
  const { shape } = expected.tensors.get('input_ids')!;
  const inputIds = new Variable(shape, Int32Array.from(await expected.readFloat32('input_ids')));
  const [got] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
  const wanted = await expected.readFloat32('logits');
  if (got!.length !== wanted.length)
    throw new Error(`logits have ${got!.length} numbers, peft's ${wanted.length}`);
  const mask = await expected.readFloat32('attention_mask');
  const [, length] = expected.tensors.get('logits')!.shape as [number, number, number];
  const front = length - shape[1]!;
  const counts = (i: number): boolean => {
    const place = Math.floor(i / vocabulary);
    const at = (place % length) - front;
    return at < 0 || mask[Math.floor(place / length) * shape[1]! + at] === 1;
  };
  let [squares, n] = [0, 0];
  wanted.forEach((value, i) => {
    if (counts(i)) [squares, n] = [squares + value ** 2, n + 1];
  });
  const rms = Math.sqrt(squares / n);
  let worst = 0;
  wanted.forEach((value, i) => {
    if (counts(i)) worst = Math.max(worst, Math.abs(got![i]! - value) / Math.max(Math.abs(value), rms));
  });
  return worst;
}
