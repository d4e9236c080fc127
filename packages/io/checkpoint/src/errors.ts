/**
 * Every error of this package. A message says what is wrong, in which file, and what to do; the same
 * facts are fields, so that a program need not read the message.
 */
export class CheckpointError extends Error {
  /** The file or folder at fault, as its folder names it. */
  readonly file: string;
  /** What the user can do about it: one sentence. */
  readonly hint: string;

  constructor(file: string, what: string, hint: string, options?: ErrorOptions) {
    super(`${file}: ${what}. ${hint}`, options);
    this.name = new.target.name;
    this.file = file;
    this.hint = hint;
  }
}

/** A file that is needed is not there. */
export class FileMissingError extends CheckpointError {}

/** A file could not be read: an I/O error, a network error, or fewer bytes than promised. */
export class FileReadError extends CheckpointError {}

/** A file is another one than when it was opened. */
export class FileChangedError extends CheckpointError {}

/** Writing failed. What stood there before still stands. */
export class FileWriteError extends CheckpointError {
  /** The system's code (`ENOSPC`, `EACCES`, …) where there is one. */
  readonly code: string | undefined;

  constructor(file: string, what: string, hint: string, code?: string, options?: ErrorOptions) {
    super(file, what, hint, options);
    this.code = code;
  }
}

/** Another process is writing to the folder. */
export class FolderLockedError extends CheckpointError {
  readonly pid: number;
  readonly host: string;

  constructor(file: string, pid: number, host: string) {
    super(
      file,
      `process ${pid} on ${quoted(host)} is writing to this folder`,
      'Wait for it or choose another output folder; if it is surely gone, remove this file',
    );
    this.pid = pid;
    this.host = host;
  }
}

/** A file name leads out of its folder. */
export class UnsafePathError extends CheckpointError {
  /** The name as it was given. */
  readonly path: string;

  constructor(file: string, path: string, why: string) {
    super(
      file,
      `refused to follow the file name ${quoted(path)}, ${why}`,
      'Only plain names inside the folder are allowed; get the model from a source you trust',
    );
    this.path = path;
  }
}

/** A JSON file that is not JSON, or does not have the form it must have. */
export class JsonFileError extends CheckpointError {
  /** Counted from 1; undefined where the text is JSON but of the wrong form. */
  readonly line: number | undefined;
  readonly column: number | undefined;

  constructor(file: string, what: string, position?: { line: number; column: number }) {
    const where = position ? ` at line ${position.line}, column ${position.column}` : '';
    super(file, `${what}${where}`, 'Correct the file or download it again');
    this.line = position?.line;
    this.column = position?.column;
  }
}

/** Which rule of the safetensors format a file breaks. */
export type SafetensorsProblem =
  | 'too-short'
  | 'header-too-large'
  | 'header-length'
  | 'header-start'
  | 'header-utf8'
  | 'header-json'
  | 'duplicate-key'
  | 'header-form'
  | 'unknown-dtype'
  | 'shape'
  | 'overflow'
  | 'misaligned'
  | 'size-mismatch'
  | 'overlap'
  | 'hole'
  | 'truncated'
  | 'trailing-bytes'
  | 'not-encodable';

/** A safetensors file that breaks the format, or tensors that cannot be written as one. */
export class SafetensorsError extends CheckpointError {
  readonly problem: SafetensorsProblem;
  /** The tensors at fault. */
  readonly tensors: readonly string[];

  constructor(
    file: string,
    problem: SafetensorsProblem,
    what: string,
    tensors: readonly string[] = [],
    hint = 'The file is damaged or was not written as safetensors: download or save it again',
  ) {
    super(file, what, hint);
    this.problem = problem;
    this.tensors = tensors;
  }
}

/** A Git LFS pointer stands where the weights should be. */
export class GitLfsPointerError extends CheckpointError {
  constructor(file: string) {
    super(
      file,
      'this is a Git LFS pointer, not the file itself',
      'Run `git lfs pull` in the repository, or download the file from the Hub',
    );
  }
}

/** Weights in Python's pickle format, which may run any code when loaded: never opened. */
export class PickleRefusedError extends CheckpointError {
  constructor(file: string) {
    super(
      file,
      'this is a PyTorch pickle, which can run code when it is loaded, so it is not opened',
      "Convert it in Python: `from safetensors.torch import save_file; save_file(torch.load(path, weights_only=True), 'model.safetensors')`",
    );
  }
}

/** A name that a weights file does not hold. */
export class TensorMissingError extends CheckpointError {
  readonly tensors: readonly string[];

  constructor(file: string, tensors: readonly string[], hint: string) {
    super(file, `${counted(tensors, 'tensor is', 'tensors are')} missing: ${upToFive(tensors)}`, hint);
    this.tensors = tensors;
  }
}

/** A shard that an index names is not there. */
export class ShardMissingError extends CheckpointError {
  readonly shards: readonly string[];

  constructor(file: string, shards: readonly string[]) {
    super(
      file,
      `${counted(shards, 'shard is', 'shards are')} missing: ${upToFive(shards)}`,
      'Download the missing files into the same folder',
    );
    this.shards = shards;
  }
}

/** One tensor whose shape is not the one asked for. */
export interface ShapeMismatch {
  readonly tensor: string;
  readonly expected: readonly number[];
  readonly got: readonly number[];
}

/** Tensors whose shapes are not those that config.json asks for. */
export class ShapeMismatchError extends CheckpointError {
  readonly mismatches: readonly ShapeMismatch[];

  constructor(file: string, mismatches: readonly ShapeMismatch[]) {
    const lines = mismatches.map(
      (m) => `${quoted(m.tensor)} expected [${m.expected.join(', ')}] got [${m.got.join(', ')}]`,
    );
    super(
      file,
      `${counted(mismatches, 'tensor has', 'tensors have')} another shape than config.json asks for: ${firstFive(lines)}`,
      'Use the config.json that belongs to these weights',
    );
    this.mismatches = mismatches;
  }
}

/** A dtype that is in the format but cannot be converted to floats here. */
export class UnsupportedDtypeError extends CheckpointError {
  readonly dtype: string;

  constructor(file: string, tensor: string, dtype: string, supported: readonly string[]) {
    super(
      file,
      `tensor ${quoted(tensor)} has dtype ${dtype}, which cannot be read as numbers`,
      `Read its bytes, or convert it to one of ${supported.join(', ')}`,
    );
    this.dtype = dtype;
  }
}

/** A training checkpoint whose files are not what its manifest says. */
export class CheckpointCorruptError extends CheckpointError {}

/** A file of a later version of this format. */
export class NewerFormatError extends CheckpointError {
  readonly version: number;

  constructor(file: string, version: number, supported: number) {
    super(
      file,
      `its format is version ${version}, and this program reads up to version ${supported}`,
      'Update Graft to read it',
    );
    this.version = version;
  }
}

/** A name from a file, fit for one line of a message: quoted, control characters escaped, shortened. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 117)}...` : name);
}

function firstFive(items: readonly string[]): string {
  const more = items.length - 5;
  return items.slice(0, 5).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function upToFive(names: readonly string[]): string {
  return firstFive(names.slice(0, 5).map(quoted)) + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}

function counted(items: readonly unknown[], one: string, many: string): string {
  return `${items.length} ${items.length === 1 ? one : many}`;
}
