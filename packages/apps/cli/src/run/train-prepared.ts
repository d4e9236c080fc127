import { join } from 'node:path';
import type { Checkpoint, Folder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { DataLoader } from '@graftjs/data';
import { createSchedule, type Schedule } from '@graftjs/optim';
import {
  type BestStep,
  Evaluator,
  RunLostError,
  type StepEvent,
  type TrainEvent,
  Trainer,
} from '@graftjs/trainer';
import type { Config } from '../config/schema.ts';
import { InterruptedError } from '../errors.ts';
import type { Host } from '../host.ts';
import type { Reporter } from '../report/reporter.ts';
import { loaderOptions } from './batching.ts';
import { deviceName } from './device.ts';
import type { Prepared } from './prepare.ts';
import { evaluationLoss, type RunFolder, rewindMetrics } from './run-folder.ts';
import { stepOptions } from './step-options.ts';

/** What a run came to. */
export interface RunOutcome {
  /** The folder of the adapter, as Hugging Face PEFT loads it. */
  readonly adapter: string;
  readonly run: string;
  readonly steps: number;
  /** Of the last step; null where none was left to do. */
  readonly loss: number | null;
  readonly heldOutLossBefore: number | null;
  readonly heldOutLossAfter: number | null;
  /** Of a classifier: the share of held-out texts whose class is the likeliest. */
  readonly heldOutAccuracy?: number;
  /** With `keepBest`: the evaluation with the lowest held-out loss, and the adapter of its checkpoint. */
  readonly best: { readonly step: number; readonly heldOutLoss: number; readonly adapter: string } | null;
  /** Steps of this session that changed nothing, since their loss or gradients were not finite. */
  readonly skippedSteps: number;
  readonly tokens: number;
  /** Of this session's training, without loading. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
  readonly device: string;
}

/**
 * Trains what was prepared, from the start or from a checkpoint, and writes the adapter.
 * @throws InterruptedError after an interrupt, with a checkpoint saved; DivergedError, ResumeError
 */
export async function trainPrepared(
  prepared: Prepared,
  run: RunFolder,
  { host, reporter, checkpoint }: { host: Host; reporter: Reporter; checkpoint?: Checkpoint | undefined },
): Promise<RunOutcome> {
  const { config, runtime, peft, examples, batching, totalSteps } = prepared;
  const { training } = config;
  const parameters = peft.trainableParameters();
  const abort = new AbortController();
  const rate = new TokenRate();
  const report = (event: TrainEvent): void => {
    if (event.event === 'step') rate.add(event);
    if (event.event === 'step' || event.event === 'evaluation') run.metric(event);
    reporter.report(event);
  };
  const trainer = new Trainer({
    runtime,
    ...stepOptions(prepared),
    ...batching,
    parameters,
    learningRate: scheduleOf(config, totalSteps),
    examples: examples.train,
    heldOut: examples.heldOut,
    accumulate: training.accumulate,
    totalSteps,
    seed: training.seed,
    evaluateEvery: training.evaluateEvery,
    checkpoints: nodeFolder(join(run.path, 'checkpoints')),
    saveEvery: training.saveEvery,
    keep: training.keep,
    keepBest: training.keepBest,
    skipLimit: training.skipLimit,
    extraFiles: async () =>
      new Map(Object.entries(await peft.encodeAdapter()).map(([name, bytes]) => [`adapter/${name}`, bytes])),
    settings: settingsOf(prepared),
    onEvent: report,
    signal: abort.signal,
  });

  const stopListening = listen(host, reporter, abort);
  try {
    if (checkpoint) {
      await trainer.resume(checkpoint);
      await rewindMetrics(run, checkpoint.step);
    }
    const counts = peft.parameterCounts();
    reporter.report({
      event: 'start',
      run: run.path,
      device: deviceName(runtime),
      step: trainer.step,
      totalSteps,
      trainableParameters: counts.trainable,
      parameters: counts.total,
      examples: examples.train.length,
      heldOutExamples: examples.heldOut.length,
    });
    const before =
      (await evaluationLoss(run, 0)) ?? (await evaluateBaseline(trainer, examples.heldOut.length, report));
    const result = await trainer.train();
    if (result.interrupted)
      throw new InterruptedError(
        `interrupted after step ${result.steps} of ${totalSteps}, which is saved: continue with \`graft resume ${run.path}\``,
      );
    const adapterFolder = join(run.path, 'adapter');
    await saveAdapter(prepared, nodeFolder(adapterFolder));
    return {
      adapter: adapterFolder,
      run: run.path,
      steps: result.steps,
      loss: Number.isNaN(result.loss) ? null : result.loss,
      heldOutLossBefore: before ?? null,
      heldOutLossAfter: result.heldOutLoss ?? (await evaluationLoss(run, totalSteps)) ?? null,
      ...(await accuracyOf(prepared)),
      best: result.best ? bestOf(run, result.best) : null,
      skippedSteps: result.skipped,
      tokens: result.tokens,
      seconds: result.seconds,
      tokensPerSecond: rate.mean,
      peakBytes: runtime.gpu.stats().peakBytes,
      device: deviceName(runtime),
    };
  } catch (error) {
    if (error instanceof RunLostError && error.savedStep !== undefined)
      reporter.report({ event: 'note', message: `continue with \`graft resume ${run.path}\`` });
    throw error;
  } finally {
    stopListening();
  }
}

/** The adapter's files, and beside them those of another library that has the method. */
async function saveAdapter({ peft, method, config, base }: Prepared, folder: Folder): Promise<void> {
  await peft.saveAdapter(folder);
  const { otherForm } = method;
  if (!otherForm) return;
  const files = await otherForm.write(folder, { name: config.model, config: base.json });
  for (const [name, bytes] of files) await folder.folder(otherForm.folder).writeAtomic(name, bytes);
}

/** The share of right answers on what is held out, of a task that has them. */
async function accuracyOf({
  base: { task },
  runtime,
  model,
  examples: { heldOut },
  batching,
}: Prepared): Promise<Pick<RunOutcome, 'heldOutAccuracy'>> {
  if (!task.correctSum || heldOut.length === 0) return {};
  const batches = new DataLoader(heldOut, { ...loaderOptions(batching), shuffle: false, epochs: 1 });
  const { loss } = await new Evaluator(runtime, task.correctSum(model)).evaluate(batches);
  return { heldOutAccuracy: loss };
}

const bestOf = (run: RunFolder, { step, loss }: BestStep): RunOutcome['best'] => ({
  step,
  heldOutLoss: loss,
  adapter: join(run.path, 'checkpoints', `checkpoint-${step}`, 'adapter'),
});

/** The held-out loss before the first step. */
async function evaluateBaseline(
  trainer: Trainer,
  heldOut: number,
  report: (event: TrainEvent) => void,
): Promise<number | undefined> {
  if (heldOut === 0 || trainer.step > 0) return undefined;
  const start = performance.now();
  const loss = await trainer.heldOutLoss();
  report({ event: 'evaluation', step: 0, loss, seconds: (performance.now() - start) / 1000 });
  return loss;
}

function scheduleOf({ training }: Config, totalSteps: number): Schedule {
  const { learningRate, schedule, warmup } = training;
  const warmupSteps = warmup < 1 ? Math.ceil(warmup * totalSteps) : Math.round(warmup);
  return createSchedule(schedule, learningRate, totalSteps, { warmupSteps });
}

/** What a continuation must share with the run; where saves and logs go may change. */
function settingsOf({ config, examples, baseDigest }: Prepared): Record<string, unknown> {
  const { optimizer: type, learningRate, schedule, warmup, loraplusRatio, weightDecay } = config.training;
  const { momentum, nesterov, beta1, beta2, epsilon } = config.training;
  const rule = type === 'sgd' ? { momentum, nesterov } : { beta1, beta2, epsilon };
  return {
    'base model (SHA-256)': baseDigest,
    'training examples (SHA-256)': examples.digest,
    method: config.method,
    ...(config.data.labels ? { classes: config.data.labels } : {}),
    ...(config.weights.format === 'stored' ? {} : { weights: config.weights }),
    optimizer: { type, learningRate, schedule, warmup, loraplusRatio, weightDecay, ...rule },
  };
}

/** The first interrupt asks the trainer to stop after the step that is under way, the second ends the process. */
function listen(host: Host, reporter: Reporter, abort: AbortController): () => void {
  return host.onInterrupt(() => {
    if (abort.signal.aborted) host.exit(130);
    abort.abort();
    reporter.report({
      event: 'note',
      message: 'stopping after this step and saving a checkpoint; again to stop at once',
    });
  });
}

/** Tokens by the time that steps took. */
class TokenRate {
  #tokens = 0;
  #seconds = 0;

  add({ tokens, tokensPerSecond }: StepEvent): void {
    this.#tokens += tokens;
    this.#seconds += tokens / tokensPerSecond;
  }
  get mean(): number {
    return this.#seconds > 0 ? this.#tokens / this.#seconds : 0;
  }
}
