import type { Host } from '../src/index.ts';

/** A host whose output is kept; `interrupt` is Ctrl-C. */
export interface TestHost extends Host {
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** stdout as JSON lines; throws where a line is not JSON. */
  readonly events: () => Record<string, unknown>[];
  readonly interrupt: () => void;
  readonly exits: number[];
}

export function testHost(
  options: {
    readonly isTerminal?: boolean;
    readonly columns?: number;
    readonly env?: Record<string, string>;
    /** Told of each piece of stdout. */
    readonly onOut?: (text: string, host: TestHost) => void;
  } = {},
): TestHost {
  const out: string[] = [];
  const err: string[] = [];
  const listeners = new Set<() => void>();
  const exits: number[] = [];
  const host: TestHost = {
    out: (text) => {
      out.push(text);
      options.onOut?.(text, host);
    },
    err: (text) => err.push(text),
    isTerminal: options.isTerminal ?? false,
    columns: () => options.columns ?? 200,
    env: options.env ?? {},
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: (code) => exits.push(code),
    stdout: () => out.join(''),
    stderr: () => err.join(''),
    events: () =>
      out
        .join('')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    interrupt: () => {
      for (const listener of [...listeners]) listener();
    },
    exits,
  };
  return host;
}
