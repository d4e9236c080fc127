import { Linear, type Module } from '@graftjs/nn';
import type { Method } from '@graftjs/peft';
import { adamss, adamssConfig, adamssSchema } from './adamss.ts';

export const methods: readonly Method[] = [
  {
    name: 'adamss',
    about: 'A low-rank change for each cluster of outputs, in the largest directions of the weight',
    paper: 'AdaMSS, NeurIPS 2025',
    tuner: adamss,
    schema: adamssSchema,
    config: adamssConfig,
    fit: ({ model }) => ({ r: Math.min(adamssSchema.r.initial, mostDirections(model)) }),
    learningRate: 2e-2,
  },
];

/** With all directions of a weight its outputs are equally far from each other, and no clusters. */
const mostDirections = (model: Module): number =>
  Math.min(
    ...[...model.namedModules()].flatMap(([, module]) =>
      module instanceof Linear
        ? [Math.max(1, Math.floor(Math.min(module.inFeatures, module.outFeatures) / 2))]
        : [],
    ),
  );
