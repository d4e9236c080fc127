import { readFileSync } from 'node:fs';
import { Matrix } from 'ml-matrix';
import { expect, test } from 'vitest';
import { adamssConfig, divide } from './adamss.ts';
import { clusterRows } from './clusters.ts';

interface Case {
  readonly weight: number[][];
  readonly seed: number;
  readonly r: number;
  readonly count: number;
  readonly projector: number[][];
  readonly labels: readonly number[];
}

/** Found with torch and scikit-learn by tools/oracle/kmeans.py. */
const fixture = new URL('../../../../tools/oracle/fixtures/adamss-clusters.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as Case[];

test.each(cases)(
  'seed $seed: the directions and clusters of PEFT',
  ({ weight, seed, r, count, projector, labels }) => {
    const matrix = new Matrix(weight);
    const { directions, clusters } = divide(
      matrix,
      adamssConfig({ r, numSubspaces: count, randomSeed: seed }),
    );
    const ours = directions.transpose().mmul(directions);
    expect(Math.max(...Matrix.sub(ours, new Matrix(projector)).to1DArray().map(Math.abs))).toBeLessThan(1e-5);
    const found = labels.map((_, i) => clusters.findIndex(({ outputs }) => outputs.includes(i)));
    expect(found).toEqual(labels);
  },
);

test('rows that nothing tells apart are dealt out in turn', () => {
  expect(clusterRows(Matrix.zeros(7, 4), 3)).toEqual([
    [0, 3, 6],
    [1, 4],
    [2, 5],
  ]);
});
