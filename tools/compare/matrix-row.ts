/** A method on one architecture. */
export interface MatrixRow {
  readonly package: string;
  readonly method: string;
  readonly modelType: string;
  /** `passed` or `failed` by cell. */
  readonly cells: Readonly<Record<string, string>>;
  readonly parameters: number | null;
  readonly bytes: number | null;
  readonly skip: Readonly<Record<string, string>>;
  readonly skipModels: Readonly<Record<string, string>>;
}
