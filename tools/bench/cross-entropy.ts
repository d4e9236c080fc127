import { Runtime } from '@graftjs/compiler';
import { crossEntropy, linearCrossEntropy } from '@graftjs/ops';
import { gradients, narrowToHalves, sum, Variable } from '@graftjs/tensor';
import { noise, timeTensors } from './alone.ts';
import type { Bench } from './bench.ts';
import type { Row } from './report.ts';
import { tokenIds } from './training-step.ts';

/** GPT-2's, and Llama 3's. */
const vocabularies = [50257, 128256];
const tokens = 256;
const width = 512;

/** Cross entropy of 256 tokens with its gradient: of logits in memory, and of an f16 head's product of width 512. */
export async function benchCrossEntropy({ gpu, rounds }: Bench): Promise<Row[]> {
  const runtime = new Runtime(gpu);
  const rows: Row[] = [];
  for (const vocab of vocabularies) {
    const labels = new Variable([tokens], tokenIds(tokens, vocab));
    const logits = new Variable([tokens, vocab], noise(tokens * vocab, 1));
    const own = gradients(sum(crossEntropy(logits, labels)), [logits]);
    const hidden = new Variable([tokens, width], noise(tokens * width, 2));
    // in f32, one of 128,256 classes is more than llvmpipe binds
    const head = new Variable([vocab, width], narrowToHalves('f16', noise(vocab * width, 3)), {
      dtype: 'f16',
    });
    const whole = gradients(sum(linearCrossEntropy(hidden, head, labels)), [hidden]);
    for (const [name, results, count] of [
      [`${vocab} classes, logits in memory`, own, rounds],
      [`${vocab} classes, with the head's product`, whole, Math.min(rounds, 2)],
    ] as const) {
      const { median } = await timeTensors(runtime, results, count);
      rows.push({ group: 'cross-entropy', name, milliseconds: median, rounds: count });
    }
    for (const input of [labels, logits, hidden, head]) runtime.release(input);
  }
  return rows;
}
