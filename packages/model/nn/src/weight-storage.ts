import type { DType } from '@graftjs/tensor';
import type { Module } from './module.ts';
import { Parameter } from './parameter.ts';

/** Float dtypes that weights are stored as; all are computed in f32. */
export type WeightDType = Extract<DType, 'f32' | 'f16' | 'bf16'>;

/** Puts a weight in the place of another, wherever modules share that. */
export function replaceWeight(model: Module, from: Parameter, to: Parameter): void {
  for (const [, module] of model.namedModules())
    for (const [field, value] of Object.entries(module)) if (value === from) Reflect.set(module, field, to);
}

/**
 * Makes a model store its matrices (parameters of two axes or more) as another dtype: call it before they get values.
 * Vectors (norms, biases) stay f32, and what modules share stays shared.
 * @param dtypeOf by the parameter's name
 */
export function storeWeightsAs(model: Module, dtypeOf: (name: string) => WeightDType): void {
  const replaced = new Map<Parameter, Parameter>();
  for (const [name, parameter] of model.namedParameters()) {
    const dtype = dtypeOf(name);
    if (parameter.rank < 2 || parameter.dtype === dtype) continue;
    const { shape, trainable } = parameter;
    replaced.set(parameter, new Parameter(shape, undefined, { dtype, name: parameter.name, trainable }));
  }
  for (const [, module] of model.namedModules())
    for (const [field, value] of Object.entries(module)) {
      const parameter = value instanceof Parameter ? replaced.get(value) : undefined;
      if (parameter) Reflect.set(module, field, parameter);
    }
}
