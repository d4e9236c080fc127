/** A style to learn: the quickstart's text, by the small built-in model. */
import type { Folder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { chunkText, loadTokenizer } from '@graftjs/data';
import { architectures, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { mul, type Tensor, Variable } from '@graftjs/tensor';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import type { Task } from './train.ts';

const [rows, tokens] = [2, 32];
const base = nodeFolder(tinyLlamaFolder);

/** Blocks of the passages of a file, joined; whole batches of them. */
async function batches(folder: Folder, file: string): Promise<Int32Array<ArrayBuffer>[]> {
  const tokenizer = loadTokenizer({ tokenizerJson: JSON.parse(await folder.readText('tokenizer.json')) });
  const lines = (await folder.readText(`quickstart/${file}.jsonl`)).trim().split('\n');
  const blocks = chunkText(tokenizer.encode(lines.map((line) => JSON.parse(line).text).join('\n')), tokens);
  const whole = blocks.filter(({ ids }) => ids.length === tokens);
  return Array.from({ length: Math.floor(whole.length / rows) }, (_, i) =>
    Int32Array.from(whole.slice(i * rows, (i + 1) * rows).flatMap(({ ids }) => [...ids])),
  );
}

export async function styleTask(steps: number): Promise<Task> {
  const train = await batches(base, 'train');
  const heldOut = (await batches(base, 'heldout')).slice(0, 20);
  return {
    steps,
    build: async (runtime) => {
      const { model } = await loadModel(base, { architectures, runtime });
      const inputIds = new Variable([rows, tokens], undefined, { dtype: 'i32' });
      const lossOf = (context: Context): Tensor =>
        mul(tokenLossSum(model.forward({ inputIds }, context), inputIds), 1 / (rows * (tokens - 1)));
      return {
        model,
        options: { taskType: 'CAUSAL_LM' },
        loss: () => lossOf(new Context()),
        setBatch: (step) => inputIds.set(train[(step * 7) % train.length]!.slice()),
        evaluate: async () => {
          const program = await runtime.compile({ outputs: [lossOf(new Context())] });
          let sum = 0;
          for (const batch of heldOut) {
            inputIds.set(batch.slice());
            sum += (await program.run())[0]![0]!;
          }
          return { loss: sum / heldOut.length };
        },
      };
    },
  };
}
