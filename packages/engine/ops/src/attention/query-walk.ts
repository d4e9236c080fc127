import { type Frame, letScore, unmasked } from './frame.ts';
import { dotProduct, loadOwned, type OwnedRow, sharedRow } from './tile.ts';

/** What a kernel does whose lanes own queries and pass over the keys that they see. */
export interface QueryWalk {
  /** Text of the first query's position, i32. */
  readonly offset: string;
  /** Text of the segment of a query, vec2<i32>. */
  readonly segmentOf: (query: string) => string;
  /** More rows that a lane owns, beside its query. */
  readonly owned?: readonly OwnedRow[];
  /** Text before the first key; sees `place`, the query's place among all. */
  readonly start: string;
  /** Text for each key; sees its vec4 `k0` … and `v0` …, its `score`, and whether it is `seen`. */
  readonly forKey: string;
  /** Text after the last key, for lanes that own a query; sees `place`, and `at`, its first vec4. */
  readonly end: string;
}

/**
 * The body of a kernel whose lanes own queries. The queries of all heads that share keys are one run (they lie one
 * after another in memory), so that single queries of several heads fill a workgroup together. Each key that any
 * query of the workgroup may see is passed once: with segments, first the prefix, then from the first segment on.
 */
export function queryWalk(frame: Frame, walk: QueryWalk): string {
  const { tile, operands } = frame;
  const { vectors, lanes } = tile;
  const packed = operands.segments !== undefined;
  return `
  let keyBase = kvHead * u32(p.keys);
  let runLength = i32(p.heads / p.kvHeads) * p.queries;
  let firstRow = i32(group % p.blocks) * ${lanes};
  let lastRow = min(firstRow + ${lanes}, runLength) - 1;
  let oneHead = firstRow / p.queries == lastRow / p.queries;
  let firstQuery = select(0, firstRow % p.queries, oneHead);
  let lastQuery = select(p.queries - 1, lastRow % p.queries, oneHead);
  let offset = ${walk.offset};
  var begin = 0;
  var end = p.keys;
  if (p.causal != 0u) {
    begin = max(0, offset + firstQuery - p.window + 1);
    end = min(p.keys, offset + lastQuery + 1);
  }
  let row = firstRow + i32(lane);
  let place = kvHead * u32(runLength) + u32(min(row, runLength - 1));
  let at = place * ${vectors}u;
  let query = min(row, runLength - 1) % p.queries;
  let highest = select(p.keys, offset + query, p.causal != 0u);
  let lowest = select(-1, offset + query - p.window, p.causal != 0u);
${packed ? segmentBounds(walk) : ''}
${loadOwned(tile, [{ name: 'q', buffer: 'q', at: 'at', times: 'p.scale' }, ...(walk.owned ?? [])])}
${walk.start}
${
  packed
    ? `
  for (var step = 0; step < steps; step++) {
    let inPrefix = step < p.prefix;
    let key = select(begin - p.prefix, 0, inPrefix) + step;`
    : `
  for (var key = begin; key < end; key++) {`
}
    let keyAt = (keyBase + u32(key)) * ${vectors}u;
${sharedRow(tile, 'k', 'k', 'keyAt')}
${sharedRow(tile, 'v', 'v', 'keyAt')}
${dotProduct(
  tile,
  'product',
  (c) => `q${c}`,
  (c) => `k${c}`,
)}
    ${letScore(frame, 'product', 'place', 'key')}
    let seen = ${unmasked(frame, 'u32(key)')} && ${
      packed
        ? 'key <= select(highestOwn, highest, inPrefix) && key > select(lowestOwn, lowestOfPrefix, inPrefix)'
        : 'key <= highest && key > lowest'
    };
${walk.forKey}
  }
  if (row < runLength) {
${walk.end}
  }`;
}

const segmentBounds = ({ segmentOf }: QueryWalk): string => `
  begin = max(max(begin, ${segmentOf('firstQuery')}.x), p.prefix);
  end = min(end, ${segmentOf('lastQuery')}.y);
  let steps = p.prefix + max(0, end - begin);
  let segment = ${segmentOf('query')};
  let highestOwn = min(highest, segment.y - 1);
  let lowestOwn = max(lowest, segment.x - 1);
  let lowestOfPrefix = lowest - max(0, segment.x - p.prefix);`;
