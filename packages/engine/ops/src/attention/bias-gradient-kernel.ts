import type { KernelDispatch } from '@graftjs/tensor';
import { inputBuffers, offsetText, queryOfKey, weightCotangent } from './backward-frame.ts';
import { biasIsShared, type Frame, ownersDispatch, unmasked } from './frame.ts';
import { loadOwned } from './tile.ts';

/** Queries that a workgroup passes over: enough to pay for the keys that it holds. */
const rowsOfBlock = 32;

/**
 * dBias = dS, summed over the sequences that share the bias: lanes own keys, and each sequence in turn adds to what
 * the ones before it left, so that nothing as large as the scores of a batch is stored.
 */
export function biasDispatch(frame: Frame, output: number): KernelDispatch {
  const { extents: e, tile } = frame;
  const { vectors, lanes } = tile;
  const keyBlocks = Math.ceil(e.keys / lanes);
  const shared = biasIsShared(frame);
  const body = `
  let head = owner % p.heads;
  let first = owner / p.heads;
  let firstKey = i32(group % p.keyBlocks) * ${lanes};
  let begin = i32(group % p.blocks / p.keyBlocks) * ${rowsOfBlock};
  let end = min(begin + ${rowsOfBlock}, p.queries);
  let key = firstKey + i32(lane);
  let held = u32(min(key, p.keys - 1));
  for (var batch = first; batch < ${shared ? 'p.batches' : 'first + 1u'}; batch++) {
  let kvHead = batch * p.kvHeads + head / (p.heads / p.kvHeads);
  let at = (kvHead * u32(p.keys) + held) * ${vectors}u;
  let unmasked = ${unmasked(frame, 'held')};
  let offset = ${offsetText};
${loadOwned(tile, [
  { name: 'k', buffer: 'k', at: 'at', times: 'p.scale' },
  { name: 'v', buffer: 'v', at: 'at' },
])}
  for (var row = begin; row < end; row++) {
    let place = (batch * p.heads + head) * u32(p.queries) + u32(row);
${queryOfKey(frame)}
${weightCotangent(frame)}
    let dS = select(0.0, exp(score - stat.x) * (dP - stat.y), seen);
    if (key < p.keys) {
      let cell = (place - batch * p.biasShared) * u32(p.keys) + held;
      if (batch == first) { dBias[cell] = dS; } else { dBias[cell] += dS; }
    }
  }
  }`;
  return ownersDispatch(frame, {
    label: 'attentionGradient bias',
    owners: (shared ? 1 : e.batches) * e.heads,
    rowsOfHead: keyBlocks * lanes * Math.ceil(e.queries / rowsOfBlock),
    buffers: [...inputBuffers(frame), ['dBias', 'f32', { output }]],
    words: [['keyBlocks', 'u32', keyBlocks]],
    body,
    products: 2,
  });
}
