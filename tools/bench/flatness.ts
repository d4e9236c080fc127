import { lineFit } from './power-fit.ts';

/** What a long run is watched by, every few steps. */
export interface Sample {
  readonly step: number;
  readonly deviceBytes: number;
  /** JavaScript's heap after a collection. */
  readonly heapBytes: number;
  readonly milliseconds: number;
}

/** How a quantity went over a run. */
export interface Trend {
  readonly first: number;
  readonly last: number;
  /** What the line through all samples gains from the first to the last, over their mean. */
  readonly growth: number;
  readonly isFlat: boolean;
}

/** Growth over the run that counts as none. Times of a shared machine vary. */
const bounds = { deviceBytes: 0.001, heapBytes: 0.02, milliseconds: 0.1 } as const;

export function trends(samples: readonly Sample[]): Readonly<Record<keyof typeof bounds, Trend>> {
  const trend = (of: keyof typeof bounds): Trend => {
    const points = samples.map((sample) => [sample.step, sample[of]] as const);
    const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
    const growth = (lineFit(points).slope * (points.at(-1)![0] - points[0]![0])) / mean;
    return { first: points[0]![1], last: points.at(-1)![1], growth, isFlat: growth <= bounds[of] };
  };
  return {
    deviceBytes: trend('deviceBytes'),
    heapBytes: trend('heapBytes'),
    milliseconds: trend('milliseconds'),
  };
}
