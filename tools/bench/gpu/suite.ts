import { Runtime } from '@graftjs/compiler';
import {
  bounds,
  casesFor,
  differences,
  type Storage,
  variants,
} from '../../../packages/engine/compiler/test/op-suite.ts';
import type { Bench } from '../bench.ts';
import type { Row } from '../report.ts';

/** The generic op suite, every kernel variant in f32 and f16: how many cases pass, and which do not. */
export async function runSuite({ gpu }: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const variant of Object.keys(variants))
    for (const storage of ['f32', 'f16'] as const) rows.push(await runVariant(variant, storage));
  return rows;

  async function runVariant(variant: string, storage: Storage): Promise<Row> {
    const runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
    const failures: { readonly case: string; readonly of: string; readonly error: number | string }[] = [];
    let [passed, worst] = [0, 0];
    for (const c of casesFor(variant, storage))
      try {
        const found = await differences(runtime, c, storage);
        const wrong = found.filter(({ error }) => !(error < bounds[storage]));
        failures.push(...wrong.map((difference) => ({ case: c.name, ...difference })));
        if (wrong.length === 0) passed++;
        worst = Math.max(worst, ...found.map(({ error }) => error));
      } catch (error) {
        failures.push({ case: c.name, of: 'run', error: (error as Error).message });
      }
    return {
      group: 'suite',
      name: `${storage}, ${variant}`,
      passed,
      failed: failures.length,
      bound: bounds[storage],
      worst,
      ...(failures.length > 0 ? { failures } : {}),
    };
  }
}
