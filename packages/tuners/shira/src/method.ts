import { Linear, type Module } from '@graftjs/nn';
import type { Method } from '@graftjs/peft';
import { shira, shiraConfig, shiraSchema } from './shira.ts';

export const methods: readonly Method[] = [
  {
    name: 'shira',
    about: 'Trains a few entries of each weight',
    paper: 'Bhardwaj et al., 2024, arXiv:2406.13175',
    tuner: shira,
    schema: shiraSchema,
    config: shiraConfig,
    fit: ({ model }) => ({ r: Math.min(shiraSchema.r.initial, mostRank(model)) }),
    learningRate: 1e-3,
  },
];

/** No weight has fewer than r (in + out) entries. */
const mostRank = (model: Module): number =>
  Math.min(
    ...[...model.namedModules()].flatMap(([, module]) =>
      module instanceof Linear
        ? [Math.floor((module.inFeatures * module.outFeatures) / (module.inFeatures + module.outFeatures))]
        : [],
    ),
  );
