/** What this package and its tuners throw. */
export class PeftError extends Error {
  override readonly name: string = 'PeftError';
}

/** A value that a key of an adapter's config cannot have, or a key that does not exist. */
export class ConfigError extends PeftError {
  override readonly name = 'ConfigError';
  readonly key: string;
  readonly value: unknown;

  constructor(key: string, value: unknown, problem: string) {
    super(`adapter config, ${key}: ${problem}`);
    this.key = key;
    this.value = value;
  }
}

/** A config that Hugging Face PEFT knows and this package does not: its adapter would compute something else. */
export class UnsupportedConfigError extends PeftError {
  override readonly name = 'UnsupportedConfigError';
  readonly key: string;
  readonly value: unknown;

  constructor(key: string, value: unknown, reason: string) {
    super(`adapter config, ${key} = ${shown(value)} is not supported: ${reason}`);
    this.key = key;
    this.value = value;
  }
}

/** A regular expression of Python that cannot be read or has no counterpart here. */
export class PatternError extends PeftError {
  override readonly name = 'PatternError';
  readonly pattern: string;

  constructor(pattern: string, problem: string) {
    super(`regular expression ${JSON.stringify(pattern)}: ${problem}`);
    this.pattern = pattern;
  }
}

/** Modules that were asked for and are not in the model, or that the tuner cannot change. */
export class TargetError extends PeftError {
  override readonly name = 'TargetError';
  /** What was asked for. */
  readonly asked: string | readonly string[] | null;
  /** Last parts of the names of modules that could be targets. */
  readonly available: readonly string[];
  /** The available name that is most like what was asked for. */
  readonly nearest: string | undefined;

  constructor(
    problem: string,
    fields: {
      readonly asked: string | readonly string[] | null;
      readonly available: readonly string[];
      readonly nearest?: string | undefined;
    },
  ) {
    const guess = fields.nearest ? ` Did you mean ${JSON.stringify(fields.nearest)}?` : '';
    super(`${problem}.${guess} The model has ${fields.available.join(', ') || 'no such modules'}`);
    this.asked = fields.asked;
    this.available = fields.available;
    this.nearest = fields.nearest;
  }
}

/** An adapter's name that is taken, unknown, or no name. */
export class AdapterNameError extends PeftError {
  override readonly name = 'AdapterNameError';
  readonly adapter: string;
  readonly known: readonly string[];

  constructor(adapter: string, known: readonly string[], problem: string) {
    super(
      `adapter ${JSON.stringify(adapter)} ${problem}${known.length ? `; the model has ${known.join(', ')}` : ''}`,
    );
    this.adapter = adapter;
    this.known = known;
  }
}

/** An operation that merged weights do not allow. */
export class MergedError extends PeftError {
  override readonly name = 'MergedError';
  readonly merged: readonly string[];

  constructor(operation: string, merged: readonly string[]) {
    super(`${operation}: ${merged.join(', ')} is merged into the weights; call unmerge() first`);
    this.merged = merged;
  }
}

/** A merge that cannot be made; nothing was changed. */
export class MergeError extends PeftError {
  override readonly name = 'MergeError';
  readonly adapter: string;

  constructor(adapter: string, problem: string) {
    super(`adapter ${JSON.stringify(adapter)} cannot be merged: ${problem}`);
    this.adapter = adapter;
  }
}

/** Adapters that cannot be active together, since each brings its own copy of the same weights. */
export class AdapterConflictError extends PeftError {
  override readonly name = 'AdapterConflictError';
  readonly adapters: readonly string[];
  readonly parameter: string;

  constructor(adapters: readonly string[], parameter: string) {
    super(
      `adapters ${adapters.join(' and ')} cannot be active together: each has its own ${parameter} (modules_to_save or bias). Activate one of them`,
    );
    this.adapters = adapters;
    this.parameter = parameter;
  }
}

/** Tensors of an adapter's file that do not fit its config and the model. */
export class AdapterStateError extends PeftError {
  override readonly name = 'AdapterStateError';
  /** Names that the adapter needs and the file lacks. */
  readonly missing: readonly string[];
  /** Names in the file that nothing takes. */
  readonly unexpected: readonly string[];
  readonly mismatches: readonly ShapeMismatch[];

  constructor(where: string, problems: StateProblems) {
    const { missing = [], unexpected = [], mismatches = [] } = problems;
    const parts = [
      missing.length ? `missing: ${firstFew(missing)}` : '',
      unexpected.length ? `unexpected: ${firstFew(unexpected)}` : '',
      mismatches.length
        ? `other shapes: ${firstFew(mismatches.map((m) => `${m.name} is [${m.got}], needs [${m.expected}]`))}`
        : '',
    ].filter(Boolean);
    super(`${where}: the weights do not fit the adapter (${parts.join('; ')}). Check config and base model`);
    this.missing = missing;
    this.unexpected = unexpected;
    this.mismatches = mismatches;
  }
}

export interface ShapeMismatch {
  readonly name: string;
  readonly expected: readonly number[];
  readonly got: readonly number[];
}

export interface StateProblems {
  readonly missing?: readonly string[];
  readonly unexpected?: readonly string[];
  readonly mismatches?: readonly ShapeMismatch[];
}

const firstFew = (names: readonly string[]): string =>
  `${names.slice(0, 4).join(', ')}${names.length > 4 ? ` and ${names.length - 4} more` : ''}`;

/** A value for one line of a message. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A pass over adapters of several tasks that does not say which texts are of which. */
export class TaskIdsError extends PeftError {
  override readonly name = 'TaskIdsError';
  readonly tasks: number;

  constructor(tasks: number) {
    super(`the adapter has ${tasks} tasks: give the Context taskIds, i32 [b], the task of each text`);
    this.tasks = tasks;
  }
}
