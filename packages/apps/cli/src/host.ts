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

/** npm, tsx and other launchers pass on a Ctrl-C that the terminal has sent to this process, too. */
const sameInterruptMs = 500;

export function processHost(): Host {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true,
    columns: () => process.stdout.columns || 80,
    env: process.env,
    onInterrupt: (listener) => {
      let last = Number.NEGATIVE_INFINITY;
      const once = (): void => {
        const now = performance.now();
        if (now - last > sameInterruptMs) listener();
        last = now;
      };
      process.on('SIGINT', once);
      process.on('SIGTERM', once);
      return () => {
        process.off('SIGINT', once);
        process.off('SIGTERM', once);
      };
    },
    exit: (code) => process.exit(code),
  };
}
