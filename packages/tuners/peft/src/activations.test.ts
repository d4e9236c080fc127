import { readFileSync } from 'node:fs';
import { evaluate } from '@graftjs/reference';
import { Variable } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { activations } from './activations.ts';

const fixture: { x: number[]; y: Record<string, number[]> } = JSON.parse(
  readFileSync(new URL('../../../../tools/oracle/fixtures/activations.json', import.meta.url), 'utf8'),
);

test.each(Object.entries(activations))('%s is what AdapterHub computes', (name, activation) => {
  const x = new Variable([fixture.x.length]);
  const [got] = evaluate([activation(x)], new Map([[x, fixture.x]]));
  got!.forEach((y, i) => {
    expect(y, `at ${fixture.x[i]}`).toBeCloseTo(fixture.y[name]![i]!, 5);
  });
});
