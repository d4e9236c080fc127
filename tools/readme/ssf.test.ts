/** The method that docs/writing-a-tuner.md builds passes the tests that every tuner passes. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { methods } from '../../docs/examples/ssf.ts';

const docs = new URL('../../docs/', import.meta.url);
const read = (path: string): Promise<string> => readFile(fileURLToPath(new URL(path, docs)), 'utf8');
const [ssf] = methods;
const tuner = ssf!.tuner;
if (typeof tuner === 'function') throw new Error('a tuner was expected');

test('the guide shows it as it is, in under 60 lines', async () => {
  const code = await read('examples/ssf.ts');
  expect(await read('writing-a-tuner.md')).toContain(`\`\`\`ts\n${code}\`\`\``);
  expect(code.split('\n').length).toBeLessThan(60);
});

testTuner({
  name: 'SSF',
  tuner,
  config: () => ssf!.config({}),
  parameterCount: (model) => defaultLayers(model).reduce((n, layer) => n + 2 * layer.outFeatures, 0),
  wrongTargets: { config: ssf!.config({ targetModules: ['q_porj'] }), message: /q_porj/ },
  skipModels: Object.fromEntries(
    ['llama', 'gemma3_text', 't5'].map((model) => [
      model,
      'its projections have no bias that the shift could be merged into',
    ]),
  ),
  learningRate: 0.1,
});
