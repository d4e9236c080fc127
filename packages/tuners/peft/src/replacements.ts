/**
 * Parameters that stand in for parameters of the base while an adapter is active: copies that are trained whole
 * (`modules_to_save`, biases), and base weights that came with an adapter's file. The base's own stay untouched.
 */
import { type Module, Parameter } from '@graftjs/nn';

/** A field of a module that holds a parameter. */
export interface Place {
  readonly module: Module;
  readonly field: string;
}

export interface Replacement {
  /** `module` and `bias` are trained; `base` came with a file. */
  readonly kind: 'module' | 'bias' | 'base';
  /** Name of the parameter in the base. */
  readonly path: string;
  /** Name on disk. */
  readonly key: string;
  readonly places: readonly Place[];
  readonly original: Parameter;
  readonly copy: Parameter;
}

export interface NamedPlace extends Place {
  readonly path: string;
  readonly modulePath: string;
  readonly parameter: Parameter;
}

/** Every field that holds a parameter, shared parameters at each of their places. */
export function* parameterPlaces(model: Module): Generator<NamedPlace> {
  for (const [modulePath, module] of model.namedModules())
    for (const [field, parameter] of Object.entries(module))
      if (parameter instanceof Parameter)
        yield { module, field, parameter, modulePath, path: modulePath ? `${modulePath}.${field}` : field };
}

/** Puts a parameter into a field that its class declares read-only for everyone else. */
export const place = ({ module, field }: Place, parameter: Parameter): void => {
  Reflect.set(module, field, parameter);
};

export const useCopies = (replacements: readonly Replacement[]): void => {
  for (const { places, copy } of replacements) for (const p of places) place(p, copy);
};

export const useOriginals = (replacements: readonly Replacement[]): void => {
  for (const { places, original } of [...replacements].reverse()) for (const p of places) place(p, original);
};
