import { HostRandom, normalArray } from '@graftjs/nn';
import { evaluate } from '@graftjs/reference';
import { tanh, Variable } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { type InvertibleOptions, invertibleAdapter } from './invertible.ts';

const shape = [2, 3, 7];
const random = new HostRandom(5);
const values = normalArray(42, 1, random);
const x = new Variable(shape);

/** An adapter far from the identity, and what its parameters hold. */
function perturbed(kind: InvertibleOptions['kind']) {
  const options = { kind, width: 7, reductionFactor: 1, activation: tanh };
  const adapter = invertibleAdapter(options, random);
  const feeds = new Map<Variable, ArrayLike<number>>([[x, values]]);
  for (const p of Object.values(adapter.parameters)) feeds.set(p, normalArray(p.size, 1, random));
  return { adapter, feeds };
}

test.each(['nice', 'glow'] as const)('%s is taken back by its inverse', (kind) => {
  const { adapter, feeds } = perturbed(kind);
  const changed = adapter.forward(x);
  const [forward, back] = evaluate([changed, adapter.inverse(changed)], feeds);
  expect(Math.max(...forward!.map((y, i) => Math.abs(y - values[i]!)))).toBeGreaterThan(0.5);
  back!.forEach((y, i) => {
    expect(y).toBeCloseTo(values[i]!, 9);
  });
});

test('glow scales by exp(0.636 c atan(s / c)) and shifts', () => {
  const { adapter, feeds } = perturbed('glow');
  const [y] = evaluate([adapter.forward(x)], feeds);
  const of = (name: string): number[] => [...Array.from(feeds.get(adapter.parameters[name]!)!)];
  const linear = (v: number[], name: string): number[] =>
    of(`${name}.bias`).map((b, row) =>
      v.reduce((sum, e, i) => sum + e * of(`${name}.weight`)[row * v.length + i]!, b),
    );
  const network = (v: number[], name: string): number[] =>
    linear(linear(v, `${name}.0`).map(Math.tanh), `${name}.2`);
  const couple = (own: number[], other: number[], name: string): number[] => {
    const r = network(other, name);
    return own.map((e, i) => e * Math.exp(0.636 * 5 * Math.atan(r[i]! / 5)) + r[own.length + i]!);
  };
  for (let row = 0; row < 6; row++) {
    const at = [...values.slice(7 * row, 7 * row + 7)];
    const y1 = couple(at.slice(0, 3), at.slice(3), 's2');
    const expected = [...y1, ...couple(at.slice(3), y1, 's1')];
    expected.forEach((e, i) => {
      expect(y![7 * row + i]! / e).toBeCloseTo(1, 7);
    });
  }
});
