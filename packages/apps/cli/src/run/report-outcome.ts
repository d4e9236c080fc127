import { relative } from 'node:path';
import { duration } from '../report/duration.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunOutcome } from './train-prepared.ts';

const shown = (path: string): string => relative('', path) || path;

/** The result of a run, for programs and for people. */
export function reportOutcome(reporter: Reporter, outcome: RunOutcome): void {
  const { heldOutLossBefore: before, heldOutLossAfter: after } = outcome;
  const text = [
    `${outcome.steps} steps in ${duration(outcome.seconds)} on ${outcome.device}`,
    ...(before === null || after === null
      ? []
      : [`held-out loss ${before.toFixed(4)} before, ${after.toFixed(4)} after`]),
    ...(outcome.heldOutAccuracy === undefined
      ? []
      : [`held-out accuracy ${(100 * outcome.heldOutAccuracy).toFixed(1)} %`]),
    ...(outcome.skippedSteps === 0 ? [] : [`${outcome.skippedSteps} steps were skipped: not finite`]),
    `adapter: ${shown(outcome.adapter)}`,
    ...(outcome.best === null
      ? []
      : [
          `best: step ${outcome.best.step}, held-out loss ${outcome.best.heldOutLoss.toFixed(4)}, ${shown(outcome.best.adapter)}`,
        ]),
  ].join('\n');
  reporter.result({ ...outcome }, text);
}
