import { Linear, type Module } from '@graftjs/nn';

/** How many elements the smallest weight of a model's linear layers has. */
export const smallestWeight = (model: Module): number =>
  Math.min(
    ...[...model.namedModules()].flatMap(([, module]) =>
      module instanceof Linear ? [module.inFeatures * module.outFeatures] : [],
    ),
  );
