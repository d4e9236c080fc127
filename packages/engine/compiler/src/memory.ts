/** A piece of memory that a plan needs from step `first` to step `last` (inclusive). */
export interface Interval {
  readonly key: string;
  readonly byteLength: number;
  readonly first: number;
  readonly last: number;
}

export interface Arena {
  readonly offsets: ReadonlyMap<string, number>;
  readonly byteLength: number;
}

const align = (n: number, to: number): number => Math.ceil(n / to) * to;

/**
 * Places intervals in one arena so that those that overlap in time do not overlap in space. Greedy by size: the
 * largest first, each at the lowest offset that is free during its life (Pisarchyk and Lee, "Efficient memory
 * management for deep neural net inference", 2020, "greedy by size").
 */
export function placeIntervals(intervals: readonly Interval[], alignment: number): Arena {
  const offsets = new Map<string, number>();
  const placed: { first: number; last: number; begin: number; end: number }[] = [];
  let byteLength = 0;
  const order = [...intervals].sort((a, b) => b.byteLength - a.byteLength || a.first - b.first);
  for (const interval of order) {
    const size = align(Math.max(interval.byteLength, 16), alignment);
    const neighbours = placed
      .filter((p) => p.first <= interval.last && interval.first <= p.last)
      .sort((a, b) => a.begin - b.begin);
    let begin = 0;
    for (const n of neighbours) {
      if (n.begin - begin >= size) break;
      begin = Math.max(begin, n.end);
    }
    placed.push({ first: interval.first, last: interval.last, begin, end: begin + size });
    offsets.set(interval.key, begin);
    byteLength = Math.max(byteLength, begin + size);
  }
  return { offsets, byteLength };
}
