import { appendFileSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { nodeFolder } from '@graftjs/checkpoint/node';
import {
  type QuickstartEvent,
  type QuickstartResult,
  quickstartRecipe,
  runQuickstart,
} from '@graftjs/quickstart';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { InterruptedError } from '../errors.ts';
import { numberFlag } from '../flag-values.ts';
import { duration } from '../report/duration.ts';
import { bytes, counted } from '../report/progress-line.ts';
import type { Reporter } from '../report/reporter.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { checkOutput } from '../run/run-folder.ts';

export const quickstart = defineCommand({
  meta: { name: 'graft quickstart', description: 'Fine-tune the small built-in model on the built-in text' },
  args: {
    output: {
      type: 'string',
      valueHint: 'folder',
      description: 'The run folder; runs/quickstart-<time> unless given',
    },
    steps: {
      type: 'string',
      valueHint: String(quickstartRecipe.steps),
      description: `Optimizer steps; ${quickstartRecipe.steps} unless given`,
    },
    model: {
      type: 'string',
      valueHint: 'folder',
      description: 'Another base model than the built-in one',
    },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { host, reporter } = data as CommandData;
    const start = performance.now();
    const model = resolve(args.model ?? tinyLlamaFolder);
    const output = resolve(args.output ?? join('runs', `quickstart-${timeStamp()}`));
    const steps = numberFlag('steps', args.steps, quickstartRecipe.steps, { least: 1, whole: true });
    await checkOutput(output, false);
    reporter.configure({ logEvery: 10 });

    const abort = new AbortController();
    const stopListening = host.onInterrupt(() => {
      if (abort.signal.aborted) host.exit(130);
      abort.abort(new InterruptedError('interrupted before the first step; nothing was written'));
      reporter.report({ event: 'note', message: 'stopping after this step; again to stop at once' });
    });
    try {
      const runtime = await openRuntime({
        onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
      });
      const text = (name: string): Promise<string> =>
        readFile(join(tinyLlamaFolder, 'quickstart', name), 'utf8');
      const result = await runQuickstart({
        runtime,
        base: nodeFolder(model),
        baseName: args.model === undefined ? '@graftjs/tiny-llama' : model,
        train: await text('train.jsonl'),
        heldOut: await text('heldout.jsonl'),
        steps,
        signal: abort.signal,
        onEvent: (event) => report(event, output, reporter),
      });
      const adapter = join(output, 'adapter');
      for (const [name, content] of result.adapterFiles) await nodeFolder(adapter).writeAtomic(name, content);
      if (result.interrupted)
        throw new InterruptedError(
          `interrupted after step ${result.steps} of ${steps}; what was learnt by then is in ${adapter}`,
        );
      const seconds = (performance.now() - start) / 1000;
      const device = deviceName(runtime);
      reporter.result(
        {
          adapter,
          heldOutLossBefore: result.heldOutLossBefore,
          heldOutLossAfter: result.heldOutLossAfter,
          seconds,
          tokensPerSecond: result.tokensPerSecond,
          peakBytes: result.peakBytes,
          device,
          steps: result.steps,
          loss: result.trainLoss,
          tokens: result.tokens,
          samples: {
            before: result.samples.map(({ prompt, before }) => ({ prompt, text: before })),
            after: result.samples.map(({ prompt, after }) => ({ prompt, text: after })),
          },
        },
        summary({ ...result, seconds, device }, { model, adapter }),
      );
      runtime.gpu.close();
    } finally {
      stopListening();
    }
  },
});

/** Shows an event, and keeps the numbers in the run folder, which is made when the run begins. */
function report(event: QuickstartEvent, output: string, reporter: Reporter): void {
  if (event.event === 'start') {
    mkdirSync(output, { recursive: true });
    reporter.report({ ...event, run: output, step: 0 });
    return;
  }
  if (event.event === 'step' || event.event === 'evaluation')
    appendFileSync(join(output, 'metrics.jsonl'), `${JSON.stringify(event)}\n`);
  reporter.report(event);
}

/** `20260131-142501`, in local time. */
function timeStamp(): string {
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

function summary(result: QuickstartResult, { model, adapter }: { model: string; adapter: string }): string {
  const { heldOutLossBefore, heldOutLossAfter, steps, seconds, tokensPerSecond, peakBytes, device } = result;
  return [
    '',
    ...result.samples.flatMap(({ prompt, before, after }) => [
      `${prompt} …`,
      `  before: ${oneLine(before)}`,
      `  after:  ${oneLine(after)}`,
    ]),
    '',
    `held-out loss ${heldOutLossBefore.toFixed(3)} before, ${heldOutLossAfter.toFixed(3)} after ${steps} steps`,
    `${duration(seconds)} in all, ${counted(tokensPerSecond)} tokens/s, ${bytes(peakBytes)} at the peak, on ${device}`,
    `adapter: ${shown(adapter)}`,
    `try it: ${command()} generate --model ${shown(model)} --adapter ${shown(adapter)} --prompt "In the beginning" --temperature 0.7`,
  ].join('\n');
}

const shown = (path: string): string => (path.startsWith(process.cwd()) ? relative('', path) || '.' : path);

/** How to call this program: in a clone of the repository it runs from source, without a build. */
function command(): string {
  const program = process.argv[1] ?? '';
  return program.endsWith('bin.ts') ? `npx tsx --conditions=@graftjs/source ${shown(program)}` : 'npx graft';
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
