import { Runtime } from '@graftjs/compiler';
import { layerNorm, rmsNorm } from '@graftjs/ops';
import { gradients, mul, sum, type Tensor, Variable } from '@graftjs/tensor';
import { noise, timeTensors } from './alone.ts';
import type { Bench } from './bench.ts';
import type { Row } from './report.ts';

const rowCounts = [1024, 8192];
const width = 768;

/** Layer norm and RMS norm of rows of 768, forward and with the input's gradient (the weights are frozen). */
export async function benchNorms({ gpu, rounds }: Bench): Promise<Row[]> {
  const runtime = new Runtime(gpu);
  const rows: Row[] = [];
  for (const count of rowCounts) {
    const x = new Variable([count, width], noise(count * width, 1));
    const cotangent = new Variable([count, width], noise(count * width, 2));
    const weight = new Variable([width], noise(width, 3));
    const bias = new Variable([width], noise(width, 4));
    const norms: Readonly<Record<string, Tensor>> = {
      'layer norm': layerNorm(x, { weight, bias, eps: 1e-5 }),
      'RMS norm': rmsNorm(x, weight, { eps: 1e-5 }),
    };
    for (const [name, y] of Object.entries(norms))
      for (const backward of [false, true]) {
        const results = backward ? [y, ...gradients(sum(mul(y, cotangent)), [x])] : [y];
        const { median } = await timeTensors(runtime, results, rounds);
        // read x, write y; then read x and y's gradient, write x's
        const bytes = 4 * count * width * (backward ? 5 : 2);
        rows.push({
          group: 'norms',
          name: `${name}, ${count} rows, ${backward ? 'forward and backward' : 'forward'}`,
          milliseconds: median,
          gigabytesPerSecond: bytes / median / 1e6,
          rounds,
        });
      }
  }
  return rows;
}
