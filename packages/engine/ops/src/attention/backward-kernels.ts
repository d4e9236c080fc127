import type { KernelDispatch, KernelFactory, TensorSpec } from '@graftjs/tensor';
import { elementKernel } from '../element-kernel.ts';
import {
  inputBuffers,
  offsetText,
  queryOfKey,
  statsBuffer,
  statsWidth,
  weightCotangent,
} from './backward-frame.ts';
import { biasDispatch } from './bias-gradient-kernel.ts';
import { afterDropout, letShare } from './dropout-text.ts';
import {
  type Frame,
  frameOf,
  offsetStride,
  optionalBuffer,
  ownersDispatch,
  throughCap,
  unmasked,
} from './frame.ts';
import { queryWalk } from './query-walk.ts';
import { each, loadOwned, storeOwned } from './tile.ts';

/**
 * The gradient of attention without the matrix of scores (Dao et al., 2022, appendix B). With P = exp(scores -
 * logSum) found again row by row, M the shares that dropout keeps, drawn again, and D = rowsum(dO O):
 * dV = (P M)ᵀ dO, dS = P (M dO Vᵀ - D), dQ = scale dS K, dK = scale dSᵀ Q, dBias = dS; with a soft cap, in dQ and dK,
 * dS (1 - tanh²) stands for dS.
 * Dispatches: D; dQ with lanes that own queries; dK and dV with lanes that own keys and pass over the queries of all
 * heads that share them, in two where a device binds too few buffers for both; dBias.
 */
export const attentionGradientKernel: KernelFactory = (request, traits) => {
  const frame = frameOf(request, traits);
  if (!frame || traits.maxStorageBuffers < inputBuffers(frame).length + 1) return undefined;
  const { extents: e } = frame;
  const wrt = request.attrs.wrt as readonly number[];
  const scratch: TensorSpec[] = [
    { shape: [e.batches * (e.heads * e.queries + 1), statsWidth(frame)], dtype: 'f32' },
  ];
  const dispatches = [statsDispatch(frame)];
  const dq = wrt.indexOf(0);
  if (dq >= 0) dispatches.push(queryDispatch(frame, dq));
  const [dk, dv, dBias] = [1, 2, 3].map((i) => wrt.indexOf(i)) as [number, number, number];
  const together = inputBuffers(frame).length + 2 <= traits.maxStorageBuffers;
  if (dk >= 0 && dv >= 0 && together) dispatches.push(keyDispatch(frame, dk, dv));
  else {
    if (dk >= 0) dispatches.push(keyDispatch(frame, dk, -1));
    if (dv >= 0) dispatches.push(keyDispatch(frame, -1, dv));
  }
  if (dBias >= 0) dispatches.push(biasDispatch(frame, dBias));
  return { dispatches, scratch };
};

/**
 * The statistics of each query row, and after them the offset of each sequence: so the two kernels that follow bind
 * one buffer instead of four, and stay within eight.
 */
function statsDispatch(frame: Frame): KernelDispatch {
  const { request, traits, extents: e, operands } = frame;
  const { inputs } = request;
  const rowCount = e.batches * e.heads * e.queries;
  const packed = operands.segments !== undefined;
  const stat = (x: string, y: string, segment: string): string =>
    packed ? `vec4<f32>(${x}, ${y}, ${segment})` : `vec2<f32>(${x}, ${y})`;
  return elementKernel(
    {
      label: 'attentionGradient rows',
      count: rowCount + e.batches,
      buffers: [
        ['o', 'vec4<f32>', { input: inputs.length - 3 }],
        ['logSums', 'f32', { input: inputs.length - 2 }],
        ['dO', 'vec4<f32>', { input: inputs.length - 1 }],
        statsBuffer(frame),
        ...optionalBuffer('offsets', 'i32', operands.offset),
        ...optionalBuffer('segments', 'vec2<i32>', operands.segments),
      ],
      words: [
        ['rows', 'u32', rowCount],
        ['vectors', 'u32', e.d / 4],
        ['offset', 'i32', e.keys - e.queries],
        ['offsetStride', 'u32', offsetStride(frame)],
        ['queries', 'u32', e.queries],
        ['heads', 'u32', e.heads],
      ],
      flops: 2 * rowCount * e.d,
      body: `  if (i >= p.rows) {
    let offset = ${operands.offset === undefined ? 'p.offset' : 'offsets[(i - p.rows) * p.offsetStride]'};
    stats[i] = ${stat('f32(offset)', '0.0', 'vec2<f32>()')};
    return;
  }
  var parts = vec4<f32>();
  for (var c = 0u; c < p.vectors; c++) { parts = fma(o[i * p.vectors + c], dO[i * p.vectors + c], parts); }
${packed ? '  let segment = segments[i / (p.heads * p.queries) * p.queries + i % p.queries];' : ''}
  stats[i] = ${stat('logSums[i]', 'dot(parts, vec4<f32>(1.0))', 'vec2<f32>(segment)')};`,
    },
    traits,
  );
}

function queryDispatch(frame: Frame, output: number): KernelDispatch {
  const { extents: e, tile } = frame;
  const { vectors } = tile;
  const body = queryWalk(frame, {
    offset: offsetText,
    segmentOf: (query) => `vec2<i32>(stats[kvHead * u32(runLength) + u32(${query})].zw)`,
    owned: [{ name: 'dO', buffer: 'dO', at: 'at' }],
    start: `
  let stat = stats[place];
${each(vectors, (c) => `  var dq${c} = vec4<f32>();`)}`,
    forKey: `
${letShare(frame, 'key')}
${weightCotangent(frame)}
    let dS = select(0.0, exp(score - stat.x) * (dP - stat.y), seen);
    let dProduct = ${throughCap(frame, 'dS')};
${each(vectors, (c) => `    dq${c} = fma(k${c}, vec4<f32>(dProduct), dq${c});`)}`,
    end: storeOwned(tile, [{ name: 'dq', buffer: 'dq', at: 'at', times: 'p.scale' }]),
  });
  return ownersDispatch(frame, {
    label: 'attentionGradient queries',
    rowsOfHead: (e.heads / e.kvHeads) * e.queries,
    buffers: [...inputBuffers(frame), ['dq', 'vec4<f32>', { output }]],
    body,
    products: 3,
  });
}

/** With segments: the first query of a sequence whose segment begins (`side` 2) or ends (3) after a key. */
const firstQueryAfter = `
fn firstQueryAfter(key: i32, side: u32, firstPlace: u32) -> i32 {
  var low = 0;
  var high = p.queries;
  while (low < high) {
    let middle = (low + high) / 2;
    if (i32(stats[firstPlace + u32(middle)][side]) > key) { high = middle; } else { low = middle + 1; }
  }
  return low;
}`;

function keyDispatch(frame: Frame, dk: number, dv: number): KernelDispatch {
  const { extents: e, tile, operands } = frame;
  const { vectors, lanes } = tile;
  const [wantsK, wantsV] = [dk >= 0, dv >= 0];
  const packed = operands.segments !== undefined;
  const body = `
  let sharing = p.heads / p.kvHeads;
  let firstHead = batch * p.heads + (kvHead % p.kvHeads) * sharing;
  let firstKey = i32(group % p.blocks) * ${lanes};
  let lastKey = min(firstKey + ${lanes}, p.keys) - 1;
  let offset = ${offsetText};
  var begin = 0;
  var end = p.queries;
  if (p.causal != 0u) {
    begin = max(0, firstKey - offset);
    end = min(p.queries, lastKey - offset + p.window);
  }
${
  packed
    ? `
  if (firstKey >= p.prefix) {
    let firstPlace = firstHead * u32(p.queries);
    begin = max(begin, firstQueryAfter(firstKey, 3u, firstPlace));
    end = min(end, firstQueryAfter(lastKey, 2u, firstPlace));
  } else {
    end = p.queries;
  }`
    : ''
}
  let key = firstKey + i32(lane);
  let held = u32(min(key, p.keys - 1));
  let at = (kvHead * u32(p.keys) + held) * ${vectors}u;
  let unmasked = ${unmasked(frame, 'held')};
${loadOwned(tile, [
  { name: 'k', buffer: 'k', at: 'at', times: 'p.scale' },
  ...(wantsK ? [{ name: 'v', buffer: 'v', at: 'at' }] : []),
])}
${wantsK ? each(vectors, (c) => `  var dk${c} = vec4<f32>();`) : ''}
${wantsV ? each(vectors, (c) => `  var dv${c} = vec4<f32>();`) : ''}
  for (var head = firstHead; head < firstHead + sharing; head++) {
  for (var row = begin; row < end; row++) {
    let place = head * u32(p.queries) + u32(row);
${queryOfKey(frame)}
    let weight = select(0.0, exp(score - stat.x), seen);
    let mixed = ${afterDropout(frame, 'weight')};
${wantsV ? each(vectors, (c) => `    dv${c} = fma(dO${c}, vec4<f32>(mixed), dv${c});`) : ''}
${
  wantsK
    ? `${weightCotangent(frame)}
    let dS = weight * (dP - stat.y);
    let dProduct = ${throughCap(frame, 'dS')};
${each(vectors, (c) => `    dk${c} = fma(q${c}, vec4<f32>(dProduct), dk${c});`)}`
    : ''
}
  }
  }
  if (key < p.keys) {
${storeOwned(tile, [
  ...(wantsK ? [{ name: 'dk', buffer: 'dk', at: 'at', times: 'p.scale' }] : []),
  ...(wantsV ? [{ name: 'dv', buffer: 'dv', at: 'at' }] : []),
])}
  }`;
  return ownersDispatch(frame, {
    label: 'attentionGradient keys',
    rowsOfHead: e.keys,
    buffers: [
      ...inputBuffers(frame),
      ...(wantsK ? [['dk', 'vec4<f32>', { output: dk }] as const] : []),
      ...(wantsV ? [['dv', 'vec4<f32>', { output: dv }] as const] : []),
    ],
    ...(packed ? { declarations: firstQueryAfter } : {}),
    body,
    products: 1 + (wantsK ? 2 : 0) + (wantsV ? 1 : 0),
  });
}
