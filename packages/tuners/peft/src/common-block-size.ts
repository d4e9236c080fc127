import { Linear, type Module } from '@graftjs/nn';

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** The largest size up to `most` of blocks that the inputs and outputs of a model's linear layers are made of. */
export function commonBlockSize(model: Module, most: number): number {
  const { outputEmbeddings } = model as { outputEmbeddings?: unknown };
  let common = 0;
  for (const [, module] of model.namedModules())
    if (module instanceof Linear && module !== outputEmbeddings)
      common = divisor(divisor(common, module.inFeatures), module.outFeatures);
  let size = Math.min(most, Math.max(common, 1));
  while (common % size !== 0) size--;
  return size;
}
