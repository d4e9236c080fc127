import { FileMissingError, type Folder, readTokenizerFiles } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { loadTokenizer, type Tokenizer } from '@graftjs/data';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, loadModel, tokenLossSum } from '@graftjs/models';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { type TrainEvent, Trainer } from '@graftjs/trainer';
import type { PhaseEvent, QuickstartEvent } from './events.ts';
import { quickstartRecipe, type Recipe } from './recipe.ts';
import { writeSamples } from './samples.ts';
import { type QuickstartText, textExamples } from './text-examples.ts';

export interface QuickstartOptions extends Partial<Recipe> {
  readonly runtime: Runtime;
  /** The base model with its tokenizer, in Hugging Face's layout. */
  readonly base: Folder;
  /** Written into the adapter's config as the name of its base. */
  readonly baseName?: string;
  /** JSON Lines, or any text with the name of its file. */
  readonly train: string | QuickstartText;
  /**
   * What the loss is measured by. Left out: a tenth of `train`, which is then not learnt, and prompts are its first
   * words unless they are given.
   */
  readonly heldOut?: string | QuickstartText | undefined;
  readonly onEvent?: (event: QuickstartEvent) => void;
  /** Awaited before each step: training pauses while it lasts. */
  readonly beforeStep?: () => Promise<void> | void;
  /** Ends training after the step that runs; what was learnt by then is measured and returned. */
  readonly signal?: AbortSignal;
}

export interface Sample {
  readonly prompt: string;
  /** What the base makes of it, without the prompt. */
  readonly before: string;
  /** What the tuned model makes of it. */
  readonly after: string;
}

export interface QuickstartResult {
  /** Mean loss over the tokens of the held-out text. */
  readonly heldOutLossBefore: number;
  readonly heldOutLossAfter: number;
  /** Of the last step, over its batch. */
  readonly trainLoss: number;
  readonly samples: readonly Sample[];
  /** `adapter_config.json` and `adapter_model.safetensors`, as Hugging Face PEFT loads them. */
  readonly adapterFiles: ReadonlyMap<string, Uint8Array>;
  /** Steps done. */
  readonly steps: number;
  /** The signal ended it before the last step. */
  readonly interrupted: boolean;
  readonly trainableParameters: number;
  /** Of base and adapter. */
  readonly parameters: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** While training, without compiling and measuring. */
  readonly tokensPerSecond: number;
  /** Of everything. */
  readonly seconds: number;
  /** Device memory at the peak. */
  readonly peakBytes: number;
  readonly device: string;
  readonly recipe: Recipe;
  /** What base and tuned model make of another prompt. One call at a time. @throws ContextLengthError */
  readonly sample: (prompt: string) => Promise<Sample>;
}

/**
 * Fine-tunes a small model with LoRA and shows what came of it: held-out loss and samples before and after, and the
 * adapter's files. Runs wherever the runtime does.
 *
 * @throws the signal's reason where not one step was done; DataError where the text is too little or malformed;
 *   DivergedError; ConfigError; what reading a model throws
 */
export async function runQuickstart(options: QuickstartOptions): Promise<QuickstartResult> {
  const { runtime, base, onEvent, signal } = options;
  const start = performance.now();
  const phase = (name: PhaseEvent['phase']): void => onEvent?.({ event: 'phase', phase: name });

  phase('load');
  const { model } = await loadModel(base, { architectures: [llama] });
  const { vocabSize } = model.config;
  const tokenizer = await openTokenizer(base, vocabSize);
  const set = { ...quickstartRecipe, ...given(options) };
  const sets = await textExamples(
    textOf(options.train),
    options.heldOut === undefined ? undefined : textOf(options.heldOut),
    tokenizer,
    {
      blockLength: set.blockLength,
      batchSize: set.batchSize,
      modelVocabSize: vocabSize,
      seed: set.seed,
    },
  );
  const examples = { ...sets, heldOut: sets.heldOut.slice(0, set.heldOutExamples) };
  const useOpenings = !options.prompts && !options.heldOut && examples.openings.length > 0;
  const recipe: Recipe = useOpenings ? { ...set, prompts: examples.openings } : set;
  const parameters = model.parameters().reduce((n, p) => n + p.size, 0);
  const peft = new PeftModel(model, {
    runtime,
    tuners: [lora],
    ...(options.baseName === undefined ? {} : { baseModel: options.baseName }),
  });
  const config = loraConfig({
    r: recipe.rank,
    loraAlpha: recipe.alpha,
    targetModules: recipe.targetModules,
    taskType: 'CAUSAL_LM',
  });
  await peft.addAdapter('default', config, { seed: recipe.seed });
  const trainable = peft.trainableParameters();
  const trainableParameters = [...trainable.values()].reduce((n, p) => n + p.size, 0);
  const device = runtime.gpu.traits.description;
  onEvent?.({
    event: 'start',
    device,
    totalSteps: recipe.steps,
    trainableParameters,
    parameters,
    examples: examples.train.length,
    heldOutExamples: examples.heldOut.length,
  });

  const write = async (
    when: 'before' | 'after',
    prompts: readonly string[],
    until?: AbortSignal,
  ): Promise<string[]> => {
    if (when === 'before') peft.disableAdapters();
    try {
      return await writeSamples(
        runtime,
        model,
        tokenizer,
        { ...recipe, prompts },
        {
          onSample: (prompt, text) => onEvent?.({ event: 'sample', when, prompt, text }),
          ...(until ? { signal: until } : {}),
        },
      );
    } finally {
      peft.enableAdapters();
    }
  };
  phase('sample-before');
  const before = await write('before', recipe.prompts, signal);

  const speed = { tokens: 0, seconds: 0 };
  const evaluateEvery = Math.max(1, Math.ceil(recipe.steps / recipe.evaluations));
  const trainer = new Trainer({
    runtime,
    lossSum: ({ inputIds, labels }, context) => tokenLossSum(model.forward({ inputIds }, context), labels),
    parameters: trainable,
    optimizer: new AdamW(trainable, { weightDecay: 0 }),
    learningRate: cosineSchedule(recipe.learningRate, recipe.steps, {
      warmupSteps: Math.round(recipe.warmup * recipe.steps),
    }),
    examples: examples.train,
    collate: { padId: tokenizer.padId ?? 0, padToMultipleOf: 32 },
    batchSize: Math.min(recipe.batchSize, examples.train.length),
    totalSteps: recipe.steps,
    clipNorm: recipe.clipNorm,
    seed: recipe.seed,
    heldOut: examples.heldOut,
    evaluateEvery,
    onEvent: (event: TrainEvent) => {
      if (event.event === 'step') {
        speed.tokens += event.tokens;
        speed.seconds += event.tokens / event.tokensPerSecond;
      }
      onEvent?.(event);
    },
    ...(options.beforeStep ? { beforeStep: options.beforeStep } : {}),
    ...(signal ? { signal } : {}),
  });

  const measure = async (): Promise<number> => {
    const from = performance.now();
    const loss = await trainer.heldOutLoss();
    onEvent?.({ event: 'evaluation', step: trainer.step, loss, seconds: (performance.now() - from) / 1000 });
    return loss;
  };
  signal?.throwIfAborted();
  phase('evaluate');
  const heldOutLossBefore = await measure();
  phase('train');
  const result = await trainer.train();
  if (result.steps === 0) signal?.throwIfAborted();
  const heldOutLossAfter = result.interrupted ? await measure() : result.heldOutLoss!;
  const adapterFiles = new Map(Object.entries(await peft.encodeAdapter()));
  phase('sample-after');
  const after = await write('after', recipe.prompts);

  return {
    heldOutLossBefore,
    heldOutLossAfter,
    trainLoss: result.loss,
    samples: recipe.prompts.map((prompt, i) => ({ prompt, before: before[i]!, after: after[i]! })),
    adapterFiles,
    steps: result.steps,
    interrupted: result.interrupted,
    trainableParameters,
    parameters,
    tokens: result.tokens,
    tokensPerSecond: speed.seconds > 0 ? speed.tokens / speed.seconds : 0,
    seconds: (performance.now() - start) / 1000,
    peakBytes: runtime.gpu.stats().peakBytes,
    device,
    recipe,
    sample: async (prompt) => {
      const [[before], [after]] = [await write('before', [prompt]), await write('after', [prompt])];
      return { prompt, before: before!, after: after! };
    },
  };
}

const textOf = (text: string | QuickstartText): QuickstartText =>
  typeof text === 'string' ? { content: text } : text;

/** The recipe's keys among the options that have a value. */
const given = (options: QuickstartOptions): Partial<Recipe> =>
  Object.fromEntries(
    Object.keys(quickstartRecipe).flatMap((key) => {
      const value = options[key as keyof Recipe];
      return value === undefined ? [] : [[key, value]];
    }),
  );

async function openTokenizer(folder: Folder, modelVocabSize: number): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder);
  if (!files.tokenizer)
    throw new FileMissingError(folder.location, 'there is no tokenizer.json', 'Download it with the model');
  return loadTokenizer({
    tokenizerJson: files.tokenizer,
    tokenizerConfig: { ...files.specialTokensMap, ...files.tokenizerConfig },
    ...(files.chatTemplate === undefined ? {} : { chatTemplate: files.chatTemplate }),
    modelVocabSize,
  });
}
