import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { documentConfig } from './document.ts';
import { configKeys } from './keys.ts';

test('the README documents every key as it is', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(await documentConfig());
  for (const key of configKeys) expect(readme).toContain(`| \`${key.name}\` | ${key.expects}`);
});

test("the README's configuration is one", async () => {
  const { parseConfig } = await import('./parse.ts');
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, yaml] = /```yaml\n(.*?)```/s.exec(readme)!;
  expect((await parseConfig(yaml!)).training).toMatchObject({ epochs: 3, accumulate: 2, learningRate: 2e-4 });
});
