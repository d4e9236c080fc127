import { CheckpointError } from '../errors.ts';

/** Which rule of the GGUF format a file breaks. */
export type GgufProblem =
  | 'magic'
  | 'version'
  | 'big-endian'
  | 'truncated'
  | 'count'
  | 'string-length'
  | 'utf8'
  | 'key'
  | 'duplicate-key'
  | 'value-type'
  | 'value'
  | 'nesting'
  | 'array-length'
  | 'alignment'
  | 'tensor-name'
  | 'duplicate-tensor'
  | 'shape'
  | 'overflow'
  | 'unknown-dtype'
  | 'offset'
  | 'overlap';

/** A GGUF file that breaks the format, or one of a form that is not read here. */
export class GgufError extends CheckpointError {
  readonly problem: GgufProblem;
  /** The tensors at fault. */
  readonly tensors: readonly string[];

  constructor(
    file: string,
    problem: GgufProblem,
    what: string,
    tensors: readonly string[] = [],
    hint = 'The file is damaged or was not written as GGUF: download or convert it again',
  ) {
    super(file, what, hint);
    this.problem = problem;
    this.tensors = tensors;
  }
}
