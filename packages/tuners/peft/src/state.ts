import type { Runtime } from '@graftjs/compiler';
import type { Parameter } from '@graftjs/nn';
import { AdapterStateError, type ShapeMismatch } from './errors.ts';
import type { AdapterState, AdapterTensor, StateReport } from './tuner.ts';

/** What PEFT puts before the path of a module. */
export const BASE_PREFIX = 'base_model.model.';
/** As {@link BASE_PREFIX}, for methods that leave the model unwrapped. */
export const UNWRAPPED_PREFIX = 'base_model.';

/** The values of parameters, by their names on disk. */
export async function readParameters(
  runtime: Runtime,
  parameters: Iterable<readonly [string, Parameter]>,
): Promise<Map<string, AdapterTensor>> {
  const state = new Map<string, AdapterTensor>();
  for (const [name, parameter] of parameters)
    state.set(name, {
      shape: parameter.shape,
      data: (await runtime.read(parameter)) as Float32Array | Int32Array,
    });
  return state;
}

/**
 * Hands tensors to the parameters of the same names.
 * @throws AdapterStateError where a shape differs; no parameter was changed then
 */
export function writeParameters(
  where: string,
  parameters: ReadonlyMap<string, Parameter>,
  state: AdapterState,
): StateReport {
  const mismatches: ShapeMismatch[] = [];
  for (const [name, parameter] of parameters) {
    const got = state.get(name)?.shape;
    if (got && (got.length !== parameter.rank || got.some((n, i) => n !== parameter.shape[i])))
      mismatches.push({ name, expected: parameter.shape, got });
  }
  if (mismatches.length > 0) throw new AdapterStateError(where, { mismatches });
  for (const [name, parameter] of parameters) {
    const tensor = state.get(name);
    if (tensor) parameter.set((parameter.dtype === 'i32' ? Int32Array : Float32Array).from(tensor.data));
  }
  return {
    missing: [...parameters.keys()].filter((name) => !state.has(name)),
    unexpected: [...state.keys()].filter((name) => !parameters.has(name)),
  };
}
