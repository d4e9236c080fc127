import { type HostArray, type Shape, Variable, type VariableOptions } from '@graftjs/tensor';

/** A variable that a module owns: a weight. `trainable` says whether training may change it. */
export class Parameter extends Variable {
  trainable: boolean;

  constructor(
    shape: Shape,
    data?: HostArray,
    options: VariableOptions & { readonly trainable?: boolean } = {},
  ) {
    super(shape, data, options);
    this.trainable = options.trainable ?? true;
  }
}
