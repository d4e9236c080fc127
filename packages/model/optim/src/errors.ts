/** A saved state that does not belong to the optimizer. */
export class OptimizerStateError extends Error {
  override readonly name = 'OptimizerStateError';
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  /** Names whose length is not that of their parameter. */
  readonly mismatched: readonly string[];

  constructor(missing: readonly string[], unexpected: readonly string[], mismatched: readonly string[]) {
    const say = (what: string, names: readonly string[]): string =>
      names.length === 0
        ? ''
        : `; ${what}: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
    super(
      `the saved optimizer state is of other parameters${say('missing', missing)}${say('unexpected', unexpected)}` +
        `${say('other length', mismatched)}. Load the state of the run that trained these parameters`,
    );
    this.missing = missing;
    this.unexpected = unexpected;
    this.mismatched = mismatched;
  }
}
