import type { StepEvent } from '@graftjs/trainer';
import { duration } from './duration.ts';

/** Bytes as `320 MB` or `1.4 GB`, in powers of ten. */
export function bytes(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 1e6) return `${Math.round(count / 1e6)} MB`;
  return `${Math.round(count / 1e3)} kB`;
}

/** `847`, `2.4k`, `1.3M`. */
export function counted(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  if (count >= 1e3) return `${(count / 1e3).toFixed(1)}k`;
  return String(Math.round(count));
}

/** `1.8e-4` */
export const scientific = (value: number): string =>
  value === 0 ? '0' : value.toExponential(1).replace('e+', 'e').replace(/\.0e/, 'e');

const fixed = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) < 0.1 ? 4 : 2);

/** What a step has to say, in one line. */
export function progressLine(
  event: StepEvent,
  heldOutLoss: number | undefined,
  tokensPerSecond: number,
): string {
  const percent = Math.floor((100 * event.step) / event.totalSteps);
  const parts = [
    `step ${event.step}/${event.totalSteps} (${percent} %) epoch ${event.epoch.toFixed(2)}`,
    `loss ${event.loss.toFixed(3)}`,
    ...(heldOutLoss === undefined ? [] : [`val ${heldOutLoss.toFixed(3)}`]),
    `|g| ${fixed(event.gradNorm)}`,
    `lr ${scientific(event.learningRate)}`,
    `${counted(tokensPerSecond)} tok/s`,
    `GPU ${bytes(event.peakBytes)}`,
    `ETA ${duration(event.secondsLeft)}`,
  ];
  return parts.join(' · ');
}
