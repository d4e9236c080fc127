import { parBnConfig, seqBnConfig } from '@graftjs/bottleneck';
import type { Module } from '@graftjs/nn';
import { type ConfigOf, commonFields, field, type Method, makeConfig } from '@graftjs/peft';
import { gatedLoraConfig, gatedPrefixConfig, type UnionConfig } from './config.ts';
import { mamConfig, union, uniPeltConfig } from './presets.ts';

const shared = {
  ...commonFields,
  modulesToSave: field.nameList('modules_to_save'),
};
const mamSchema = {
  ...shared,
  prefixLength: field.count('prefix_length', 30),
  bottleneckSize: field.count('bottleneck_size', 800),
  reductionFactor: field.count('reduction_factor', 2),
} as const;
const uniPeltSchema = {
  ...shared,
  prefixLength: field.count('prefix_length', 10),
  bottleneckSize: field.count('bottleneck_size', 512),
  reductionFactor: field.count('reduction_factor', 16),
  r: field.count('r', 8),
} as const;

const about = {
  prefixLength: { about: "Positions in front of every layer's keys." },
  bottleneckSize: { about: 'Units of the network that gives the prefix.' },
  reductionFactor: { about: 'The hidden size over the width of the bottleneck adapters.' },
};

/** A union with what is said of the whole. */
function whole(config: UnionConfig, values: ConfigOf<typeof shared>): UnionConfig {
  const common = Object.fromEntries(
    Object.keys(shared).map((key) => [key, values[key as keyof typeof shared]]),
  ) as ConfigOf<typeof shared>;
  return { ...config, ...common };
}

const hiddenSizeOf = (model: Module): number =>
  (model as { config?: { hiddenSize?: number } }).config?.hiddenSize ?? Number.POSITIVE_INFINITY;

export const methods: readonly Method[] = [
  {
    name: 'unipelt',
    about: 'A prefix, bottleneck adapters and LoRA, each with a gate for each text',
    paper: 'Mao et al., 2022, arXiv:2110.07577',
    tuner: union,
    schema: uniPeltSchema,
    config: (options) => {
      const values = makeConfig(uniPeltSchema, options as Partial<ConfigOf<typeof uniPeltSchema>>);
      const { prefixLength, bottleneckSize, reductionFactor, r } = values;
      const config = uniPeltConfig({
        prefix: gatedPrefixConfig({ prefixLength, bottleneckSize }),
        adapter: seqBnConfig({ reductionFactor }),
        lora: gatedLoraConfig({ r }),
      });
      return whole(config, values);
    },
    // At least one unit.
    fit: ({ model }) => ({
      reductionFactor: Math.min(uniPeltSchema.reductionFactor.initial, hiddenSizeOf(model)),
    }),
    learningRate: 1e-3,
    virtualTokens: true,
    keys: { ...about, r: { about: 'The rank of LoRA.' } },
  },
  {
    name: 'mam',
    about: 'A prefix, and networks beside the feed-forward network of every block (Mix-and-Match)',
    paper: 'He et al., 2021, arXiv:2110.04366',
    tuner: union,
    schema: mamSchema,
    config: (options) => {
      const values = makeConfig(mamSchema, options as Partial<ConfigOf<typeof mamSchema>>);
      const { prefixLength, bottleneckSize, reductionFactor } = values;
      const config = mamConfig({
        prefix: gatedPrefixConfig({ prefixLength, bottleneckSize }),
        adapter: parBnConfig({ reductionFactor }),
      });
      return whole(config, values);
    },
    learningRate: 1e-3,
    virtualTokens: true,
    keys: about,
  },
];
