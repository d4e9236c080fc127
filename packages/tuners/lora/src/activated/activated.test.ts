import { Generator } from '@graftjs/generate';
import { tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { MergeError } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { describe, expect, test } from 'vitest';
import { integers, modelWith, numbers, rowsOf, runtime, useBatches } from '../../test/batches.ts';
import { thrown } from '../../test/toy.ts';
import { loraConfig } from '../config.ts';

useBatches();

describe('aLoRA against PEFT', () => {
  test('logits, loss and every gradient', async () => {
    const { model, ...rest } = await opened();
    const [inputIds, labels] = [await integers('input_ids'), await integers('labels')];
    const logits = model.forward({ inputIds }, new Context());
    const counted = (await numbers('labels')).filter((label, i) => label !== -100 && i % 12 > 0).length;
    const loss = mul(tokenLossSum(logits, labels), 1 / counted);
    const trained = rest.peft.trainableParameters();
    const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
    expect(deviation(got[0]!, await numbers('invoked'))).toBeLessThan(1e-4);
    expect(deviation(got[1]!, await numbers('invoked.loss'))).toBeLessThan(1e-4);
    for (const [i, key] of [...trained.keys()].entries())
      expect(
        deviation(got[2 + i]!, await numbers(`invoked.grad.${key.replace('.invoked.', '.')}`)),
        key,
      ).toBeLessThan(1e-4);
  });

  test.each([0, 1, 2])('generated tokens, with a cache: prompt %i', async (prompt) => {
    const { model } = await opened();
    const generator = new Generator(runtime, model);
    const [ids] = await rowsOf(`invoked.greedy.${prompt}.input_ids`);
    const [made] = await rowsOf(`invoked.greedy.${prompt}.new_ids`);
    expect(await generator.generate(ids!, { maxNewTokens: made!.length, stopIds: [] })).toEqual(made);
    generator.close();
  });
});

test("what comes before the invocation, and a text without it, are the base's to the bit", async () => {
  const { model, peft } = await opened();
  const inputIds = await integers('input_ids');
  const logits = () => runtime.evaluate([model.forward({ inputIds }, new Context())]).then(([y]) => y!);
  const [invoked, base] = [await logits(), await peft.withoutAdapters(logits)];
  const row = invoked.length / 5;
  const token = row / 12;
  expect(invoked.slice(row, 2 * row)).toEqual(base.slice(row, 2 * row));
  expect(invoked.slice(0, 4 * token)).toEqual(base.slice(0, 4 * token));
  expect(invoked.slice(4 * token, 5 * token)).not.toEqual(base.slice(4 * token, 5 * token));
  // The second invocation of the third row counts.
  expect(invoked.slice(2 * row, 2 * row + 6 * token)).toEqual(base.slice(2 * row, 2 * row + 6 * token));
});

test('cannot be merged, and is not for embeddings and texts shorter than the invocation', async () => {
  const { model, peft } = await opened();
  expect(await thrown(() => peft.merge())).toBeInstanceOf(MergeError);
  const tokens = { aloraInvocationTokens: [7, 8], targetModules: ['embed_tokens'] };
  expect(await thrown(() => peft.addAdapter('b', loraConfig(tokens)))).toMatchObject({
    key: 'alora_invocation_tokens',
  });
  const inputIds = new Variable([1, 2], Int32Array.of(7, 8));
  const short = () => runtime.evaluate([model.forward({ inputIds }, new Context())]);
  const [with_, without] = [await short(), await peft.withoutAdapters(short)];
  expect(with_).toEqual(without);
});

async function opened() {
  const peft = await modelWith('invoked');
  return { peft, model: peft.model };
}
