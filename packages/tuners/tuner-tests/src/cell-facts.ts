import type { Cell } from './tuner-case.ts';

/** What a cell measured of an adapter. */
export interface CellFacts {
  /** Elements that are trained. */
  readonly parameters?: number;
  /** Of the adapter's files. */
  readonly bytes?: number;
}

/** What a reporter is told of a cell that passed, as its test's `meta.tunerCell`. */
export interface TunerCell extends CellFacts {
  readonly method: string;
  readonly modelType: string;
  readonly cell: Cell;
  /** Cells and model types that the method leaves out, and why. */
  readonly skip: Readonly<Record<string, string>>;
  readonly skipModels: Readonly<Record<string, string>>;
}
