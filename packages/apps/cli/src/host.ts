/** What a command sees of the process it runs in; tests hand in their own. */
export interface Host {
  /** stdout */
  readonly out: (text: string) => void;
  /** stderr */
  readonly err: (text: string) => void;
  /** stdout is a terminal. */
  readonly isTerminal: boolean;
  /** Characters of the terminal's line. */
  readonly columns: () => number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls back at each request to stop (Ctrl-C, SIGTERM); the result ends the listening. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
}

export function processHost(): Host {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true,
    columns: () => process.stdout.columns || 80,
    env: process.env,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      process.on('SIGTERM', listener);
      return () => {
        process.off('SIGINT', listener);
        process.off('SIGTERM', listener);
      };
    },
    exit: (code) => process.exit(code),
  };
}
