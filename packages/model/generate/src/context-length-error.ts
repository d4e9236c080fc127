/** The prompt and what is asked for do not fit the model. */
export class ContextLengthError extends RangeError {
  override readonly name = 'ContextLengthError';
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  readonly maxPositions: number;

  constructor(promptTokens: number, maxNewTokens: number, maxPositions: number, front = 0) {
    super(
      promptTokens === 0
        ? 'the prompt is empty: give at least one token, such as the one that begins a text'
        : `a prompt of ${promptTokens} tokens${front > 0 ? `, ${front} positions that adapters put in front of it` : ''} and ${maxNewTokens} new ones exceed the model's ${maxPositions} positions: shorten one of them`,
    );
    this.promptTokens = promptTokens;
    this.maxNewTokens = maxNewTokens;
    this.maxPositions = maxPositions;
  }
}
