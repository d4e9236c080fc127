import type { NamedBuffer } from '../kernel-text.ts';
import { afterDropout, letShare, seedBuffer } from './dropout-text.ts';
import { type Frame, letScore, scoreBuffers } from './frame.ts';
import { dotProduct, sharedRow } from './tile.ts';

/** With segments a row of statistics is (logSum, D, begin and end of the segment), else (logSum, D). */
export const statsWidth = ({ operands }: Frame): 2 | 4 => (operands.segments === undefined ? 2 : 4);

export const statsBuffer = (frame: Frame): NamedBuffer => [
  'stats',
  `vec${statsWidth(frame)}<f32>`,
  { scratch: 0 },
];

export const inputBuffers = (frame: Frame): NamedBuffer[] => [
  ...scoreBuffers(frame),
  ['dO', 'vec4<f32>', { input: frame.request.inputs.length - 1 }],
  statsBuffer(frame),
  ...seedBuffer(frame),
];

/** Text of the offset of a sequence, which lies behind the statistics. */
export const offsetText = 'i32(stats[p.batches * p.heads * u32(p.queries) + batch].x)';

/**
 * Text for a lane that owns the key `held` (its vec4 are `k0` …, scaled) and passes over queries: for the query `row`
 * at `place` its statistics `stat`, its vec4 `q0` … and `dO0` …, its `score`, and whether it has `seen` the key.
 */
export function queryOfKey(frame: Frame): string {
  const { tile, operands } = frame;
  const packed = operands.segments !== undefined;
  return `
    let stat = stats[place];
${sharedRow(tile, 'q', 'q', `place * ${tile.vectors}u`)}
${sharedRow(tile, 'dO', 'dO', `place * ${tile.vectors}u`)}
${dotProduct(
  tile,
  'product',
  (c) => `k${c}`,
  (c) => `q${c}`,
)}
    ${letScore(frame, 'product', 'place', 'held')}
${
  packed
    ? `
    let segment = vec2<i32>(stat.zw);
    let inPrefix = key < p.prefix;
    let back = select(0, max(0, segment.x - p.prefix), inPrefix);
    let reached = inPrefix || (key >= segment.x && key < segment.y);`
    : ''
}
    let seen = unmasked && (p.causal == 0u || (key <= offset + row && key > offset + row${packed ? ' - back' : ''} - p.window))${packed ? ' && reached' : ''};
${letShare(frame, 'held')}`;
}

/** Text of `dP`, the change of the loss with the weight of a query and a key, before its dropout. */
export const weightCotangent = (frame: Frame): string =>
  `${dotProduct(
    frame.tile,
    'dKept',
    (c) => `v${c}`,
    (c) => `dO${c}`,
  )}
    let dP = ${afterDropout(frame, 'dKept')};`;
