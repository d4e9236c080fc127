import type { Method } from '@graftjs/peft';
import { activated } from './activated/activated.ts';
import { loraConfig, loraSchema } from './config.ts';
import { embeddings } from './embedding.ts';
import { loraWith } from './lora.ts';

const shared = {
  tuner: loraWith(embeddings, activated),
  schema: loraSchema,
  config: loraConfig,
  learningRate: 2e-4,
  keys: {
    r: {
      about: 'The rank: the inner dimension of the update.',
      aliases: ['rank', 'loraR', 'loraRank'],
    },
    loraAlpha: { name: 'alpha', about: 'The update is scaled by alpha / r.' },
    loraDropout: {
      name: 'dropout',
      about: "The chance that an element of the update's input is dropped in training.",
    },
    targetModules: {
      about:
        'Which layers: all-linear (all but the output layer), default (as Hugging Face PEFT for this model type), the ends of names, or one regular expression.',
      aliases: ['loraTargetModules', 'loraTarget', 'target', 'targets'],
    },
    excludeModules: {
      about: 'Of those layers, which not: the ends of names, or one regular expression.',
    },
    layersToTransform: {
      about: 'Of layers that targetModules lists by name: only those of these blocks, counted from 0.',
      aliases: ['loraLayersToTransform'],
    },
    rankPattern: {
      about: 'Other ranks for some layers, by the end of their names or a regular expression for it.',
    },
    alphaPattern: { about: 'Other alphas for some layers, likewise.' },
    useRslora: {
      name: 'rslora',
      about: 'Scale by alpha / √r instead (rank-stabilised LoRA).',
      aliases: ['peftUseRslora'],
    },
    useDora: {
      name: 'dora',
      about: "Learn the magnitudes of the weights' rows beside their directions (DoRA).",
      aliases: ['peftUseDora'],
    },
    aloraInvocationTokens: {
      about:
        'Token ids: a text has the adapter from the last place on where they stand (aLoRA); not with dora.',
    },
    loraBias: { about: 'Give B a bias; not with dora.' },
    bias: { about: "Train the base's biases, too: all, or those of the changed layers." },
    modulesToSave: {
      about: 'Modules of the base that are trained whole and saved with the adapter, such as lm_head.',
      aliases: ['loraModulesToSave', 'additionalTarget'],
    },
  },
} satisfies Partial<Method>;

const defaults = { r: 8, loraAlpha: 16, targetModules: 'all-linear' };

export const methods: readonly Method[] = [
  {
    ...shared,
    name: 'lora',
    about: 'Adds a low-rank matrix',
    paper: 'Hu et al., 2021, arXiv:2106.09685',
    defaults,
  },
  {
    ...shared,
    name: 'dora',
    about: 'LoRA of directions, with learnt magnitudes of the rows',
    paper: 'Liu et al., 2024, arXiv:2402.09353',
    defaults: { ...defaults, useDora: true },
  },
];
