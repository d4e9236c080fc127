import { z } from 'zod';

/** What the documentation, the flags and the error messages say of a key. */
export interface KeyMeta {
  /** One sentence. */
  readonly about: string;
  /** What the value must be, to follow "must be". */
  readonly expects: string;
  /** Other names, such as Hugging Face's, read without case, dashes and underscores. */
  readonly aliases?: readonly string[];
  /** The flag without dashes, where it is not the key itself. */
  readonly flag?: string;
  /** What the documentation gives as the default, where it depends on other keys. */
  readonly defaultText?: string;
}

/** The meta data of every key of the configuration. */
export const keyMeta = z.registry<KeyMeta>();

const key = <S extends z.ZodType>(schema: S, meta: KeyMeta): S => {
  keyMeta.add(schema, meta);
  return schema;
};

/** Numbers may be quoted: `"1e-4"`, as flags always are. */
const numeric = (value: unknown): unknown =>
  typeof value === 'string' && /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(value.trim())
    ? Number(value)
    : value;
const number = <S extends z.ZodType>(schema: S) => z.preprocess(numeric, schema);
const whole = (least: number) => number(z.number().int().min(least));
const boolean = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean(),
);
/** `2GB`, `1.5 GiB` or a number of bytes, as bytes. */
const byteSize = z
  .union([z.number(), z.string().regex(/^\d+(\.\d+)?\s*([kmgt]i?)?b?$/i)])
  .transform((size) => {
    const [, count, unit = ''] = /^([\d.]+)\s*([kmgt]i?)?/i.exec(String(size))!;
    const power = ' kmgt'.indexOf(unit.charAt(0).toLowerCase() || ' ');
    return Math.floor(Number(count) * (unit.length > 1 ? 1024 : 1000) ** power);
  })
  .pipe(z.number().int().min(1));
/** One string or several; a flag separates them by commas. */
const strings = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const data = z.strictObject({
  train: key(strings, {
    about: 'The training text: one file or several (JSON Lines, a JSON array, .txt or .md).',
    expects: 'a path or a list of paths',
    aliases: ['path', 'paths', 'file', 'files', 'trainFile', 'datasetPath'],
    flag: 'data',
  }),
  format: key(z.enum(['auto', 'text', 'prompt-completion', 'messages', 'text-label']).default('auto'), {
    about: 'The form of a row; auto takes it from the first one, and from the task.',
    expects: 'auto, text, prompt-completion, messages or text-label',
  }),
  labels: key(
    z
      .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string().min(1)).min(2))
      .optional(),
    {
      about: 'Of SEQ_CLS: names of the classes, in the order of the numbers that stand for them.',
      expects: 'a list of two names or more',
      aliases: ['labelNames', 'classes', 'id2label'],
      defaultText: "the model's, else the data's",
    },
  ),
  heldOut: key(z.union([number(z.number().min(0).lt(1)), z.string().min(1)]).default(0.05), {
    about: 'The part of the examples kept for evaluation, or a file of them; 0 for none.',
    expects: 'a fraction from 0 to below 1, or a path',
    aliases: ['valSetSize', 'validation', 'evalFile', 'valid', 'test'],
  }),
  maxLength: key(whole(2).default(512), {
    about: 'Most tokens of an example.',
    expects: 'a whole number of at least 2',
    aliases: ['maxSeqLength', 'maxSeqLen', 'cutoffLen', 'sequenceLen'],
  }),
  maxTargetLength: key(whole(1).optional(), {
    about: 'Of SEQ_2_SEQ_LM: most tokens of a completion.',
    expects: 'a whole number of at least 1',
    aliases: ['maxLabelLength', 'maxCompletionLength'],
    defaultText: "maxLength's",
  }),
  overLong: key(z.enum(['truncate', 'drop', 'split']).default('truncate'), {
    about: 'What happens to longer examples: cut, left out, or (text only) split into several.',
    expects: 'truncate, drop or split',
    aliases: ['excessLengthStrategy', 'truncationMode'],
  }),
  packing: key(boolean.default(false), {
    about:
      'Fill rows of maxLength tokens with whole examples, each of which sees itself only: faster where examples are short.',
    expects: 'true or false',
    aliases: ['samplePacking', 'neatPacking'],
  }),
  maskPrompt: key(boolean.default(true), {
    about: "Learn completions and assistant's turns only; false learns every token.",
    expects: 'true or false',
    aliases: ['completionOnlyLoss', 'assistantOnlyLoss'],
  }),
  chatTemplate: key(z.string().min(1).optional(), {
    about: "A Jinja file, or chatml, for messages; without it the model's own template.",
    expects: 'a path or chatml',
    aliases: ['template'],
    defaultText: "the model's",
  }),
  skipBad: key(whole(0).default(0), {
    about: 'How many lines of bad JSON to pass over before giving up.',
    expects: 'a whole number of at least 0',
  }),
});

const method = z.strictObject({
  type: key(z.string().min(1).default('lora'), {
    about:
      'What is trained. `graft methods` lists the methods of the packages that are installed; `graft methods NAME` the keys of one.',
    expects: "a method's name, or the path of a file that has one",
    aliases: ['peftType', 'fineTuneType', 'adapter'],
    flag: 'method',
  }),
});

const weights = z.strictObject({
  format: key(z.enum(['stored', 'f32', 'f16', 'bf16', 'nf4', 'fp4', 'int8']).default('stored'), {
    about:
      "How the base's matrices lie in memory: as in the file, as floats, or quantized as bitsandbytes does (QLoRA: nf4).",
    expects: 'stored, f32, f16, bf16, nf4, fp4 or int8',
    aliases: ['bnb4bitQuantType', 'quantType'],
    flag: 'weights',
  }),
  doubleQuantization: key(boolean.optional(), {
    about: 'Of nf4 and fp4: store the factors of blocks in 8 bits, too (nested quantization).',
    expects: 'true or false',
    aliases: ['bnb4bitUseDoubleQuant', 'nested', 'doubleQuant'],
    defaultText: '`true`',
  }),
  block: key(whole(2).optional(), {
    about: 'Of nf4 and fp4: elements that share a factor.',
    expects: 'a whole number of at least 2',
    aliases: ['blockSize'],
    flag: 'block-size',
    defaultText: '`64`',
  }),
  exclude: key(strings.optional(), {
    about: 'Of nf4, fp4 and int8: linear layers that are not quantized, by the ends of their names.',
    expects: 'a name or a list of names',
    aliases: ['llmInt8SkipModules', 'skipModules'],
    flag: 'weights-exclude',
    defaultText: 'the output layer',
  }),
});

const training = z.strictObject({
  steps: key(whole(1).optional(), {
    about: 'Optimizer steps; give this or epochs.',
    expects: 'a whole number of at least 1',
    aliases: ['maxSteps', 'iters', 'totalSteps'],
    defaultText: 'from epochs',
  }),
  epochs: key(number(z.number().positive()).optional(), {
    about: 'Passes over the training examples; give this or steps.',
    expects: 'a number above 0',
    aliases: ['numTrainEpochs', 'numEpochs'],
    defaultText: '3, where steps is not given',
  }),
  batchSize: key(whole(1).default(8), {
    about: 'Examples of one micro-batch; with packing: rows.',
    expects: 'a whole number of at least 1',
    aliases: ['perDeviceTrainBatchSize', 'microBatchSize'],
  }),
  accumulate: key(whole(1).default(1), {
    about: 'Micro-batches of one step: the gradient is that of the large batch.',
    expects: 'a whole number of at least 1',
    aliases: ['gradientAccumulationSteps', 'gradAccumulationSteps'],
  }),
  learningRate: key(number(z.number().positive()).default(2e-4), {
    about: 'The highest learning rate.',
    expects: 'a number above 0',
    aliases: ['lr'],
    defaultText: "the method's",
  }),
  schedule: key(z.enum(['cosine', 'linear', 'constant']).default('cosine'), {
    about: 'How the learning rate falls after warm-up: to 0 along a cosine or a line, or not at all.',
    expects: 'cosine, linear or constant',
    aliases: ['lrSchedulerType', 'lrScheduler', 'lrSchedule'],
  }),
  warmup: key(number(z.number().min(0)).default(0.05), {
    about: 'Steps in which the learning rate rises from 0; below 1, that part of all steps.',
    expects: 'a number of steps, or a fraction below 1',
    aliases: ['warmupSteps', 'warmupRatio'],
  }),
  optimizer: key(z.enum(['adamw', 'sgd']).default('adamw'), {
    about: 'AdamW, or plain stochastic gradient descent.',
    expects: 'adamw or sgd',
    aliases: ['optim'],
  }),
  loraplusRatio: key(number(z.number().min(1)).optional(), {
    about: "The learning rate of B over that of A (LoRA+; the paper suggests 16); then biases don't decay.",
    expects: 'a number of at least 1',
    aliases: ['loraplusLrRatio'],
    defaultText: 'one rate for all',
  }),
  weightDecay: key(number(z.number().min(0)).default(0), {
    about: "Weight decay: AdamW's is decoupled from the gradient, SGD's is added to it.",
    expects: 'a number of at least 0',
  }),
  momentum: key(number(z.number().min(0)).default(0), {
    about: "SGD's momentum.",
    expects: 'a number of at least 0',
    aliases: ['sgdMomentum'],
  }),
  nesterov: key(boolean.default(false), {
    about: "Nesterov's momentum, for SGD with momentum.",
    expects: 'true or false',
  }),
  beta1: key(number(z.number().min(0).lt(1)).default(0.9), {
    about: "AdamW's decay of the mean of gradients.",
    expects: 'a number from 0 to below 1',
    aliases: ['adamBeta1'],
  }),
  beta2: key(number(z.number().min(0).lt(1)).default(0.999), {
    about: "AdamW's decay of the mean of squared gradients.",
    expects: 'a number from 0 to below 1',
    aliases: ['adamBeta2'],
  }),
  epsilon: key(number(z.number().positive()).default(1e-8), {
    about: "AdamW's term against division by zero.",
    expects: 'a number above 0',
    aliases: ['adamEpsilon', 'eps'],
  }),
  clipNorm: key(number(z.number().min(0)).default(1), {
    about: 'The greatest global norm of the gradients; 0 does not clip.',
    expects: 'a number of at least 0',
    aliases: ['maxGradNorm', 'gradClip'],
  }),
  seed: key(
    number(
      z
        .number()
        .int()
        .min(0)
        .max(2 ** 32 - 1),
    ).default(0),
    {
      about: 'Of the first weights, the order of examples and dropout.',
      expects: 'a whole number from 0 to 4294967295',
    },
  ),
  evaluateEvery: key(whole(1).default(100), {
    about: 'Steps between evaluations; one is made before the first step and one after the last.',
    expects: 'a whole number of at least 1',
    aliases: ['evalSteps', 'stepsPerEval'],
  }),
  saveEvery: key(whole(1).default(100), {
    about: 'Steps between checkpoints; one is made after the last step.',
    expects: 'a whole number of at least 1',
    aliases: ['saveSteps'],
  }),
  keep: key(whole(1).default(3), {
    about: 'Checkpoints that stay.',
    expects: 'a whole number of at least 1',
    aliases: ['saveTotalLimit'],
  }),
  keepBest: key(boolean.default(false), {
    about:
      'Also save where the held-out loss is the lowest so far, and keep that checkpoint beside the newest.',
    expects: 'true or false',
    aliases: ['saveBest'],
  }),
  recompute: key(
    z
      .preprocess(
        (value) =>
          value === true || value === 'true' ? 'all' : value === false || value === 'false' ? 0 : value,
        z.union([whole(0), z.literal('all')]),
      )
      .default(0),
    {
      about:
        'Blocks, counted from the first, that are computed again in the backward pass: less memory for more time, the same numbers.',
      expects: 'a number of blocks, or all',
      aliases: ['gradientCheckpointing', 'activationCheckpointing', 'gradCheckpoint'],
    },
  ),
  memory: key(byteSize.optional(), {
    about:
      'The most device memory that a step may take, by plan: as many blocks as that asks for are computed again (recompute is not read then).',
    expects: 'a size, such as 2GB',
    aliases: ['maxMemory'],
    defaultText: 'any',
  }),
  skipLimit: key(whole(1).default(5), {
    about: 'A step whose loss or gradients are not finite is skipped; so many in a row end the run.',
    expects: 'a whole number of at least 1',
    aliases: ['maxSkippedSteps'],
  }),
  logEvery: key(whole(1).default(10), {
    about: 'Steps between lines of the log, where it is not a terminal.',
    expects: 'a whole number of at least 1',
    aliases: ['loggingSteps', 'stepsPerReport'],
  }),
});

export const taskTypes = ['CAUSAL_LM', 'SEQ_CLS', 'SEQ_2_SEQ_LM'] as const;

export type TaskType = (typeof taskTypes)[number];

const top = {
  model: key(z.string().min(1), {
    about: 'The base model: a folder as Hugging Face transformers saves it, or a GGUF file.',
    expects: 'a path',
    aliases: ['baseModel', 'modelNameOrPath'],
  }),
  task: key(
    z
      .preprocess(
        (value) => (typeof value === 'string' ? value.toUpperCase().replaceAll('-', '_') : value),
        z.enum(taskTypes),
      )
      .optional(),
    {
      about:
        'What is learnt: to go on with a text, its class, or the answer to it (by an encoder-decoder such as T5).',
      expects: 'CAUSAL_LM, SEQ_CLS or SEQ_2_SEQ_LM',
      aliases: ['taskType'],
      defaultText: "the model's",
    },
  ),
  output: key(z.string().min(1), {
    about: 'The run folder: checkpoints, metrics and the adapter go there.',
    expects: 'a path',
    aliases: ['outputDir', 'runFolder'],
  }),
};

/** The whole configuration of `graft train`. */
export const configSchema = z.strictObject({
  ...top,
  data,
  method: method.prefault({}),
  weights: weights.prefault({}),
  training: training.prefault({}),
});

/** The method with what was given of its options and its own defaults, by their names in a configuration. */
export interface MethodOptions {
  readonly type: string;
  readonly [option: string]: unknown;
}

export interface Config extends Omit<z.output<typeof configSchema>, 'method'> {
  readonly method: MethodOptions;
}

/** The keys of each section; those of the top level under ''. */
export const sections: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  '': top,
  data: data.shape,
  method: method.shape,
  weights: weights.shape,
  training: training.shape,
};
