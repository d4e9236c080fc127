import { fileURLToPath } from 'node:url';
import { type GgufFile, openGguf } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { expect, test } from 'vitest';
import cases from '../../test/fixtures/rope-factors.json' with { type: 'json' };
import { GgufKeys } from './gguf-keys.ts';
import { ropeScaling } from './gguf-rope.ts';

const files = nodeFolder(fileURLToPath(new URL('../../test/fixtures', import.meta.url)));
const gguf = await openGguf(await files.open('llama3-rope.gguf'));
const withFactors = (factors: readonly number[]): GgufFile => ({
  ...gguf,
  readFloat32: async () => Float32Array.from(factors),
});

test.each(cases)('Llama 3 scaling from its factors: %#', async ({ headDim, theta, rope, factors }) => {
  const found = await ropeScaling(withFactors(factors), new GgufKeys(gguf, 'llama'), { headDim, theta });
  const { rope_theta, ...expected } = rope;
  expect(rope_theta).toBe(theta);
  expect(found).toEqual({ ...expected, factor: expect.closeTo(expected.factor, 4) as number });
});
