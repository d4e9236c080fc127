import type { PretrainedModel } from '@graftjs/models';
import { Linear } from '@graftjs/nn';
import { attentionTargets } from '@graftjs/peft';

/** The linear layers that a config without targets chooses. */
export const defaultLayers = (model: PretrainedModel): Linear[] =>
  [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof Linear &&
    (attentionTargets[model.config.modelType] as string[]).some((name) => path.endsWith(`.${name}`))
      ? [module]
      : [],
  );
