import { fileURLToPath } from 'node:url';
import { openSafetensors, type Weights } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Context } from '@graftjs/nn';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { architectures, loadModel, tokenLossSum } from './index.ts';

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));
/** Those of other architectures; their fixtures have all that there is. */
const decoders = [
  'qwen3',
  'qwen3-variant',
  'gpt-neox',
  'gpt-neox-variant',
  'opt',
  'opt-variant',
  'gemma',
  'gemma2',
  'gemma3',
  'phi3',
  'phi3-longrope',
];
const bases = [
  'llama-gqa-tied',
  'llama-gqa-untied',
  'llama3-rope',
  'llama-headdim',
  'mistral',
  'mistral-window',
  'qwen2',
  'llama-biases',
  'qwen2-window',
  'gpt2',
  'gpt2-variant',
  'llama-dynamic',
  ...decoders,
];

/** Those whose fixture has the gradient of every weight. */
const withGradients = ['llama-gqa-tied', 'qwen2', 'llama-biases', 'gpt2', ...decoders];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const i32 = async (w: Weights, name: string): Promise<Variable> =>
  new Variable(w.tensors.get(name)!.shape, Int32Array.from(await w.readFloat32(name)), { dtype: 'i32' });

/** max |a - b| / max(|b|, rms(b)), over the elements that count. */
function relative(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts: (i: number) => boolean = () => true,
): number {
  let squares = 0;
  let n = 0;
  for (let i = 0; i < b.length; i++)
    if (counts(i)) {
      squares += b[i]! ** 2;
      n++;
    }
  const rms = Math.sqrt(squares / n);
  let worst = 0;
  for (let i = 0; i < b.length; i++)
    if (counts(i)) {
      const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms);
      worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }
  return worst;
}

test.each(bases)('%s: logits, loss and gradients are those of transformers', async (base) => {
  const folder = nodeFolder(`${fixtures}${base}`);
  const { model } = await loadModel(folder, { architectures });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const inputIds = await i32(expected, 'input_ids');
  const labels = await i32(expected, 'labels');
  const mask = await expected.readFloat32('attention_mask');
  const logits = model.forward({ inputIds }, new Context());
  const hidden = model.hiddenStates({ inputIds }, new Context());
  const next = await expected.readFloat32('labels');
  const [, t] = inputIds.shape as [number, number];
  const supervised = next.filter((v, i) => v !== -100 && i % t > 0).length;
  const loss = mul(tokenLossSum(logits, labels), 1 / supervised);
  const names = [...expected.tensors.keys()].filter((n) => n.startsWith('grad.'));
  const parameters = new Map(model.namedParameters());
  expect(names.length).toBe(withGradients.includes(base) ? parameters.size : 0);
  // GPT-NeoX's head has another name in files than in the memory of transformers.
  const weightOf = (name: string) =>
    name === 'lm_head.weight' ? model.outputEmbeddings.weight : parameters.get(name)!;
  const wrt = names.map((n) => weightOf(n.slice('grad.'.length)));
  const got = await runtime.evaluate([logits, loss, hidden, ...gradients(loss, wrt)]);
  const vocab = logits.shape[2]!;
  expect(
    relative(got[0]!, await expected.readFloat32('logits'), (i) => mask[Math.floor(i / vocab)] === 1),
  ).toBeLessThan(1e-4);
  expect(relative(got[1]!, await expected.readFloat32('loss'))).toBeLessThan(1e-5);
  const width = hidden.shape[2]!;
  expect(
    relative(
      got[2]!,
      await expected.readFloat32('hidden_states.2'),
      (i) => mask[Math.floor(i / width)] === 1,
    ),
  ).toBeLessThan(1e-4);
  for (const [k, name] of names.entries()) {
    const right = await expected.readFloat32(name);
    const most = right.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    // What all scores of a query have in common changes nothing: where keys are not rotated, their bias has no gradient.
    if (most < 1e-8) expect(Math.max(...got[3 + k]!.map(Math.abs)), name).toBeLessThan(1e-6);
    else expect(relative(got[3 + k]!, right), name).toBeLessThan(1e-4);
  }
});

test.each(['gpt2', ...decoders])(
  '%s: rows padded on the left have the logits of transformers',
  async (base) => {
    const folder = nodeFolder(`${fixtures}${base}`);
    const { model } = await loadModel(folder, { architectures });
    const expected = await openSafetensors(await folder.open('expected.safetensors'));
    const inputIds = await i32(expected, 'left.input_ids');
    const keyMask = await i32(expected, 'left.attention_mask');
    const positions = await i32(expected, 'left.position_ids');
    const mask = await expected.readFloat32('left.attention_mask');
    const logits = model.forward({ inputIds, keyMask, positions }, new Context());
    const [got] = await runtime.evaluate([logits]);
    const vocab = logits.shape[2]!;
    expect(
      relative(got!, await expected.readFloat32('left.logits'), (i) => mask[Math.floor(i / vocab)] === 1),
    ).toBeLessThan(1e-4);
  },
);
