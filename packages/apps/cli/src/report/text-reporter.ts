import type { CompileEvent, StepEvent } from '@graftjs/trainer';
import type { Host } from '../host.ts';
import { duration } from './duration.ts';
import { progressLine } from './progress-line.ts';
import type { ReportEvent, Reporter, ReporterOptions } from './reporter.ts';

/** Milliseconds between updates of the line: more often is not seen and costs. */
const updateMs = 100;

/** For people: on a terminal one line that is written anew, else a line each `logEvery` steps. */
export function textReporter(host: Host, given: ReporterOptions = {}): Reporter {
  let options = given;
  const live = host.isTerminal && !options.quiet && host.env.TERM !== 'dumb';
  const color = live && !host.env.NO_COLOR;
  const dim = (text: string): string => (color ? `\x1b[2m${text}\x1b[22m` : text);
  let shown = false;
  let lastUpdate = Number.NEGATIVE_INFINITY;
  let heldOutLoss: number | undefined;
  let rate: number | undefined;

  const erase = (): void => {
    if (shown) host.out('\r\x1b[K');
    shown = false;
  };
  const print = (line: string): void => {
    if (options.quiet) return;
    erase();
    (options.notesToStderr ? host.err : host.out)(`${line}\n`);
  };
  const update = (line: string): void => {
    const now = performance.now();
    if (now - lastUpdate < updateMs) return;
    lastUpdate = now;
    host.out(`\r\x1b[K${line.slice(0, host.columns() - 1)}`);
    shown = true;
  };

  const step = (event: StepEvent): void => {
    // A mean that forgets: single steps differ with the lengths of their examples.
    rate = rate === undefined ? event.tokensPerSecond : 0.9 * rate + 0.1 * event.tokensPerSecond;
    const width = live ? host.columns() - 1 : Number.POSITIVE_INFINITY;
    const line = progressLine(event, heldOutLoss, rate, width);
    const last = event.step === event.totalSteps;
    if (live && !last) update(line);
    else if (last || event.step === 1 || event.step % (options.logEvery ?? 1) === 0) print(line);
  };
  const compile = ({ done, total }: CompileEvent): void => {
    if (live) update(dim(`compiling kernels ${done}/${total}`));
  };

  const report = (event: ReportEvent): void => {
    switch (event.event) {
      case 'step':
        if (event.skipped)
          print(
            `step ${event.step}: skipped, since its loss is ${event.loss} and its gradient norm ${event.gradNorm}; nothing was changed`,
          );
        step(event);
        break;
      case 'compile':
        compile(event);
        break;
      case 'evaluation':
        heldOutLoss = event.loss;
        print(
          `step ${event.step}: held-out loss ${event.loss.toFixed(4)} ${dim(`(${duration(event.seconds)})`)}`,
        );
        break;
      case 'checkpoint':
        print(dim(`step ${event.step}: saved ${event.location}`));
        break;
      case 'start':
        print(`${event.run} on ${event.device}`);
        print(
          `${event.trainableParameters.toLocaleString('en')} of ${event.parameters.toLocaleString('en')} parameters are trained; ` +
            `${event.examples} examples, ${event.heldOutExamples} held out; ` +
            (event.step > 0
              ? `continuing after step ${event.step} of ${event.totalSteps}`
              : `${event.totalSteps} steps`),
        );
        break;
      case 'note':
        print(event.message);
        break;
      // The summary at the end has the samples side by side.
      case 'sample':
      case 'phase':
        break;
      case 'text':
        erase();
        host.out(event.text);
        break;
      default:
        event satisfies never;
    }
  };

  return {
    configure: (more) => {
      options = { ...options, ...more };
    },
    report,
    result: (_, text) => {
      erase();
      if (text !== '') host.out(`${text}\n`);
    },
    fail: (line) => {
      erase();
      host.err(`graft: ${line}\n`);
    },
    close: erase,
  };
}
