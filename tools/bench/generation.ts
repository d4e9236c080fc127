import { Runtime } from '@graftjs/compiler';
import { Generator } from '@graftjs/generate';
import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { median } from './measure.ts';
import { shapes } from './models.ts';
import type { Row } from './report.ts';
import { randomModel, tokenIds } from './training-step.ts';

const models = ['DistilGPT-2', 'SmolLM2-135M'] as const;
const promptTokens = 128;
const newTokens = 24;

/** Greedy generation with a cache: a prompt of 128 tokens, then one token after the other. */
export async function benchGeneration({ rounds }: Bench): Promise<Row[]> {
  const texts = Math.min(rounds, 3);
  const rows: Row[] = [];
  for (const name of models) {
    const gpu = await openGpu();
    const { model } = randomModel({ json: shapes[name] });
    const generator = new Generator(new Runtime(gpu), model);
    const prompt = tokenIds(promptTokens, model.config.vocabSize);
    /** Milliseconds to the first token, and from each to the next. */
    const generate = async (): Promise<readonly [first: number, others: readonly number[]]> => {
      const times: number[] = [];
      let since = performance.now();
      // an end token would cut the text short
      for await (const _ of generator.stream(prompt, {
        maxNewTokens: newTokens,
        temperature: 0,
        stopIds: [],
      })) {
        times.push(performance.now() - since);
        since = performance.now();
      }
      return [times[0]!, times.slice(1)];
    };
    const [coldFirst] = await generate();
    const runs = [];
    while (runs.length < texts) runs.push(await generate());
    const first = median(runs.map(([time]) => time));
    const token = median(runs.flatMap(([, times]) => times));
    rows.push({
      group: 'generation',
      name: `${name}, ${promptTokens} tokens of prompt, ${newTokens} new`,
      firstTokenColdMilliseconds: coldFirst,
      firstTokenMilliseconds: first,
      promptTokensPerSecond: (promptTokens * 1000) / first,
      tokenMilliseconds: token,
      newTokensPerSecond: 1000 / token,
      texts,
      peakMegabytes: gpu.stats().peakBytes / 1e6,
    });
    generator.close();
    gpu.close();
  }
  return rows;
}
