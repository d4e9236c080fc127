import type { HostArray } from '@graftjs/tensor';
import { Parameter } from './parameter.ts';

/** Names of a state dictionary that do not fit the module. */
export class StateDictError extends Error {
  override readonly name = 'StateDictError';
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];

  constructor(missing: readonly string[], unexpected: readonly string[], detail = '') {
    const list = (names: readonly string[]): string =>
      `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
    const parts = [
      missing.length ? `missing: ${list(missing)}` : '',
      unexpected.length ? `unexpected: ${list(unexpected)}` : '',
      detail,
    ].filter(Boolean);
    super(`the weights do not fit the model (${parts.join('; ')})`);
    this.missing = missing;
    this.unexpected = unexpected;
  }
}

/**
 * A part of a model. Its fields that are parameters, modules, or arrays of modules are its children, under their
 * field names: fields are named as checkpoints name them (`self_attn.q_proj.weight`).
 */
export abstract class Module {
  /** This module and all below it, by dotted name; the module itself is ''. */
  *namedModules(prefix = ''): Generator<[string, Module]> {
    yield [prefix, this];
    for (const [name, value] of Object.entries(this)) {
      const path = prefix ? `${prefix}.${name}` : name;
      if (value instanceof Module) yield* value.namedModules(path);
      else if (Array.isArray(value))
        for (const [i, item] of value.entries())
          if (item instanceof Module) yield* item.namedModules(`${path}.${i}`);
    }
  }

  /**
   * Every parameter by dotted name; one that several modules share is named once, at its first place, or with
   * `duplicates` at each of them.
   */
  *namedParameters({ duplicates = false } = {}): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>();
    for (const [prefix, module] of this.namedModules())
      for (const [name, value] of Object.entries(module))
        if (value instanceof Parameter && (duplicates || !seen.has(value))) {
          seen.add(value);
          yield [prefix ? `${prefix}.${name}` : name, value];
        }
  }

  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, p]) => p);
  }

  /** Sets whether training may change the parameters of this module and all below it. */
  setTrainable(trainable: boolean): void {
    for (const p of this.parameters()) p.trainable = trainable;
  }

  /**
   * Hands in weights by name. With `strict` (the default) every parameter must be there and nothing else.
   * @throws StateDictError
   */
  loadStateDict(state: ReadonlyMap<string, HostArray>, options: { readonly strict?: boolean } = {}): void {
    const own = new Map(this.namedParameters());
    if (options.strict ?? true) {
      const missing = [...own.keys()].filter((name) => !state.has(name));
      const unexpected = [...state.keys()].filter((name) => !own.has(name));
      if (missing.length || unexpected.length) throw new StateDictError(missing, unexpected);
    }
    for (const [name, data] of state) {
      const parameter = own.get(name);
      if (!parameter) continue;
      if (data.length !== parameter.size)
        throw new StateDictError(
          [],
          [],
          `${name} has ${data.length} elements, the model needs [${parameter.shape}]`,
        );
      parameter.set(data);
    }
  }
}
