import type { CommandDef } from 'citty';

// biome-ignore lint/suspicious/noExplicitAny: a command's arguments are its own business.
type AnyCommand = CommandDef<any>;

interface Verb {
  readonly about: string;
  /** @param argv what is given to it: whose keys are its flags may depend on that */
  readonly load: (argv: readonly string[]) => Promise<AnyCommand>;
}

/** Every verb, with what it does; its program is loaded when it is called. */
export const verbs: Readonly<Record<string, Verb>> = {
  train: {
    about: 'Fine-tune a model as a configuration says',
    load: async (argv) => (await import('./commands/train.ts')).trainFor(argv),
  },
  resume: {
    about: 'Continue an interrupted run from its newest checkpoint',
    load: async () => (await import('./commands/resume.ts')).resume,
  },
  eval: {
    about: 'Measure the loss of a model, an adapter or a run on data',
    load: async () => (await import('./commands/eval.ts')).evaluate,
  },
  generate: {
    about: 'Let a model continue a text, with or without an adapter',
    load: async () => (await import('./commands/generate.ts')).generate,
  },
  predict: {
    about: 'Tell the class of a text, by a classifier',
    load: async () => (await import('./commands/predict.ts')).predict,
  },
  merge: {
    about: 'Write a model with an adapter merged into its weights',
    load: async () => (await import('./commands/merge.ts')).merge,
  },
  plan: {
    about: 'Tell what a run would cost, without running it or loading weights',
    load: async (argv) => (await import('./commands/plan.ts')).planFor(argv),
  },
  inspect: {
    about: 'Tell what is in a file of weights, a model, an adapter, a run or a checkpoint',
    load: async () => (await import('./commands/inspect.ts')).inspect,
  },
  methods: {
    about: 'List the methods of fine-tuning, and what each trains of a model',
    load: async () => (await import('./commands/methods.ts')).methods,
  },
  doctor: {
    about: 'Show the device, and whether it computes right and how fast',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  quickstart: {
    about: 'Fine-tune the small built-in model on the built-in text',
    load: async () => (await import('./commands/quickstart.ts')).quickstart,
  },
};
