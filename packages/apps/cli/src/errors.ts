/** The command line itself is wrong: an unknown verb or flag, a missing or malformed value. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Where in the configuration a fault is. Lines and columns count from 1. */
export interface ConfigPlace {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

/** The configuration is wrong: the message begins with `file:line:column` or with the flag. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;

  constructor(message: string, place: ConfigPlace = {}, options?: ErrorOptions) {
    const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
    super(where === '' ? message : `${where}: ${message}`, options);
    this.file = place.file;
    this.line = place.line;
    this.column = place.column;
  }
}

/** The run folder cannot be used: it holds another run, is in use, or is not a run. */
export class RunFolderError extends Error {
  override readonly name = 'RunFolderError';
  readonly folder: string;

  constructor(folder: string, what: string) {
    super(`${folder}: ${what}`);
    this.folder = folder;
  }
}

/** The user asked to stop. `message` says what was saved. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** A loss that is no number: the weights of model or adapter are not finite, or give numbers that are not. */
export class LossError extends Error {
  override readonly name = 'LossError';

  constructor(loss: number) {
    super(
      `the loss is ${loss}: the model's numbers are not finite; check with graft inspect that model and adapter are whole`,
    );
  }
}

/** What `graft doctor --tune` wrote is damaged. */
export class TuningFileError extends Error {
  override readonly name = 'TuningFileError';
  readonly file: string;

  constructor(file: string, options?: ErrorOptions) {
    super(
      `${file}: this is not what graft doctor --tune writes: delete it, or run graft doctor --tune again`,
      options,
    );
    this.file = file;
  }
}
