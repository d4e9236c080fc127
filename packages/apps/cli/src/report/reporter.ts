import type { PhaseEvent, StartEvent as QuickstartStart, SampleEvent } from '@graftjs/quickstart';
import type { TrainEvent } from '@graftjs/trainer';
import type { Host } from '../host.ts';

/** Something that a person may want to know, beside the numbers of training. */
export interface NoteEvent {
  readonly event: 'note';
  readonly message: string;
}

/** A run begins or goes on. */
export interface StartEvent extends QuickstartStart {
  readonly run: string;
  /** Steps done before. */
  readonly step: number;
}

/** A piece of the text that `generate` writes. */
export interface TextEvent {
  readonly event: 'text';
  readonly text: string;
}

export type ReportEvent = TrainEvent | NoteEvent | StartEvent | SampleEvent | TextEvent | PhaseEvent;

/** Tells a person or a program how a command fares. */
export interface Reporter {
  /** Changes options that are known later. */
  configure(options: ReporterOptions): void;
  report(event: ReportEvent): void;
  /** The outcome: the last thing that a command says. `text` is for people. */
  result(result: Readonly<Record<string, unknown>>, text: string): void;
  /** A fault that ends the command. `line` is one line. */
  fail(line: string, details: Readonly<Record<string, unknown>>): void;
  /** Leaves the terminal in order. */
  close(): void;
}

export interface ReporterOptions {
  readonly quiet?: boolean;
  /** Steps between lines, where there is no terminal. Default 1. */
  readonly logEvery?: number;
  /** stdout is for the text that a model writes: everything else goes to stderr. */
  readonly notesToStderr?: boolean;
}

/** One JSON object a line on stdout, and nothing else there. */
export function jsonReporter(host: Host): Reporter {
  const write = (value: unknown): void => host.out(`${JSON.stringify(value)}\n`);
  return {
    configure: () => {},
    // Kernels are many; what a program wants to know is that they are done.
    report: (event) => {
      if (event.event !== 'compile' || event.done === event.total) write(event);
    },
    result: (result) => write({ event: 'result', ...result }),
    fail: (line, details) => {
      write({ event: 'error', message: line, ...details });
      host.err(`graft: ${line}\n`);
    },
    close: () => {},
  };
}
