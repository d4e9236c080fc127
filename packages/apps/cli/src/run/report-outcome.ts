import { relative } from 'node:path';
import { duration } from '../report/duration.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunOutcome } from './train-prepared.ts';

/** The result of a run, for programs and for people. */
export function reportOutcome(reporter: Reporter, outcome: RunOutcome): void {
  const { heldOutLossBefore: before, heldOutLossAfter: after } = outcome;
  const text = [
    `${outcome.steps} steps in ${duration(outcome.seconds)} on ${outcome.device}`,
    ...(before === null || after === null
      ? []
      : [`held-out loss ${before.toFixed(4)} before, ${after.toFixed(4)} after`]),
    `adapter: ${relative('', outcome.adapter) || outcome.adapter}`,
  ].join('\n');
  reporter.result({ ...outcome }, text);
}
