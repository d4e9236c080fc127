import type { StepEvent } from '@graftjs/trainer';
import { duration } from './duration.ts';

/** Bytes as `320 MB` or `1.4 GB`, in powers of ten. */
export function bytes(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 1e6) return `${Math.round(count / 1e6)} MB`;
  return `${Math.round(count / 1e3)} kB`;
}

/** `847`, `2.4k`, `1.3M`, `5.0G`, `7.2T`. */
export function counted(count: number): string {
  if (count >= 1e12) return `${(count / 1e12).toFixed(1)}T`;
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}G`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  if (count >= 1e3) return `${(count / 1e3).toFixed(1)}k`;
  return String(Math.round(count));
}

/** `1.8e-4` */
export const scientific = (value: number): string =>
  value === 0 ? '0' : value.toExponential(1).replace('e+', 'e').replace(/\.0e/, 'e');

const fixed = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) < 0.1 ? 4 : 2);

/**
 * What a step has to say, in one line.
 * @param columns where it would be longer, what matters least is left out
 */
export function progressLine(
  event: StepEvent,
  heldOutLoss: number | undefined,
  tokensPerSecond: number,
  columns = Number.POSITIVE_INFINITY,
): string {
  const percent = Math.floor((100 * event.step) / event.totalSteps);
  const parts = [
    { text: `step ${event.step}/${event.totalSteps} (${percent} %)`, rank: 0 },
    { text: `epoch ${event.epoch.toFixed(2)}`, rank: 5 },
    { text: `loss ${event.loss.toFixed(3)}`, rank: 0 },
    { text: heldOutLoss === undefined ? '' : `val ${heldOutLoss.toFixed(3)}`, rank: 1 },
    { text: `|g| ${fixed(event.gradNorm)}`, rank: 6 },
    { text: `lr ${scientific(event.learningRate)}`, rank: 7 },
    { text: `${counted(tokensPerSecond)} tok/s`, rank: 3 },
    { text: `GPU ${bytes(event.peakBytes)}`, rank: 4 },
    { text: `ETA ${duration(event.secondsLeft)}`, rank: 2 },
  ].filter(({ text }) => text !== '');
  const line = (rank: number): string =>
    parts
      .filter((part) => part.rank <= rank)
      .map(({ text }) => text)
      .join(' · ')
      .replace(' · epoch', ' epoch');
  let rank = 7;
  while (rank > 0 && line(rank).length > columns) rank--;
  return line(rank);
}
