import type { KernelFactory } from '@graftjs/tensor';
import type { NamedBuffer } from '../kernel-text.ts';
import { afterDropout, letShare, seedBuffer } from './dropout-text.ts';
import { frameOf, offsetStride, optionalBuffer, ownersDispatch, scoreBuffers } from './frame.ts';
import { queryWalk } from './query-walk.ts';
import { each, hiddenScore, leastSum, storeOwned } from './tile.ts';

/**
 * Attention without the matrix of scores (Dao et al., 2022): each lane owns a query, passes over the keys that its
 * workgroup can see, and keeps the greatest score m, the sum l of exp(score - m) and the sum of
 * exp(score - m) v (after dropout), rescaled whenever m grows.
 */
export const attentionKernel: KernelFactory = (request, traits) => {
  const frame = frameOf(request, traits);
  if (!frame) return undefined;
  const { extents: e, tile, operands } = frame;
  const { vectors } = tile;
  const rowsOfHead = (e.heads / e.kvHeads) * e.queries;
  // A lane for a query leaves a GPU idle where there are hardly any queries: the products are better there.
  if (!tile.broadcast && rowsOfHead < 8) return undefined;
  const buffers: NamedBuffer[] = [
    ...scoreBuffers(frame),
    ['o', 'vec4<f32>', { output: 0 }],
    ['logSums', 'f32', { output: 1 }],
    ...optionalBuffer('offsets', 'i32', operands.offset),
    ...optionalBuffer('segments', 'vec2<i32>', operands.segments),
    ...seedBuffer(frame),
  ];
  if (traits.maxStorageBuffers < buffers.length) return undefined;
  const body = queryWalk(frame, {
    offset: operands.offset === undefined ? 'p.offset' : 'offsets[batch * p.offsetStride]',
    segmentOf: (query) => `segments[i32(batch) * p.queries + ${query}]`,
    start: `
  var m = ${hiddenScore};
  var l = 0.0;
${each(vectors, (c) => `  var o${c} = vec4<f32>();`)}`,
    forKey: `
    let next = select(m, max(m, score), seen);
    let keep = exp(m - next);
    let weight = select(0.0, exp(score - next), seen);
    m = next;
    l = fma(l, keep, weight);
${letShare(frame, 'key')}
    let mixed = ${afterDropout(frame, 'weight')};
${each(vectors, (c) => `    o${c} = fma(v${c}, vec4<f32>(mixed), o${c} * keep);`)}`,
    end: `
    let total = max(l, ${leastSum});
    logSums[place] = m + log(total);
    let share = 1.0 / total;
${storeOwned(tile, [{ name: 'o', buffer: 'o', at: 'at', times: 'share' }])}`,
  });
  return {
    dispatches: [
      ownersDispatch(frame, {
        label: 'attention',
        rowsOfHead,
        buffers,
        words: [
          ['offset', 'i32', e.keys - e.queries],
          ['offsetStride', 'u32', offsetStride(frame)],
        ],
        body,
        products: 2,
      }),
    ],
  };
};
