import { LayerNorm, type Module, RmsNorm } from '@graftjs/nn';
import { adaptableBlocks } from './places.ts';

/**
 * Paths of the norms in a model's blocks: as `modulesToSave` they are trained with the adapter, a copy for each task,
 * as Houlsby et al. do.
 */
export const blockNorms = (model: Module): string[] =>
  adaptableBlocks(model).flatMap(([path, block]) =>
    [...block.namedModules(path)].flatMap(([name, module]) =>
      module instanceof LayerNorm || module instanceof RmsNorm ? [name] : [],
    ),
  );
