import type { KernelDispatch, KernelFactory, TensorSpec } from '@graftjs/tensor';
import { elementKernel } from '../element-kernel.ts';
import type { NamedBuffer } from '../kernel-text.ts';
import { type Frame, frameOf, offsetStride, optionalBuffer, ownersDispatch, unmasked } from './frame.ts';
import { queryWalk } from './query-walk.ts';
import { dotProduct, each, loadOwned, sharedRow, storeOwned } from './tile.ts';

/**
 * The gradient of attention without the matrix of scores (Dao et al., 2022, appendix B). With P = exp(scores -
 * logSum) found again row by row, and D = rowsum(dO O):
 * dV = Pᵀ dO, dS = P (dO Vᵀ - D), dQ = scale dS K, dK = scale dSᵀ Q.
 * Three dispatches: D; dQ with lanes that own queries; dK and dV with lanes that own keys and pass over the
 * queries of all heads that share them.
 */
export const attentionGradientKernel: KernelFactory = (request, traits) => {
  const frame = frameOf(request, traits);
  if (!frame || traits.maxStorageBuffers < 8) return undefined;
  const { extents: e } = frame;
  const wrt = request.attrs.wrt as readonly number[];
  const scratch: TensorSpec[] = [
    { shape: [e.batches * (e.heads * e.queries + 1), statsWidth(frame)], dtype: 'f32' },
  ];
  const dispatches = [statsDispatch(frame)];
  const dq = wrt.indexOf(0);
  if (dq >= 0) dispatches.push(queryDispatch(frame, dq));
  if (wrt.includes(1) || wrt.includes(2)) dispatches.push(keyDispatch(frame, wrt.indexOf(1), wrt.indexOf(2)));
  return { dispatches, scratch };
};

/** With segments a row of statistics is (logSum, D, begin and end of the segment), else (logSum, D). */
const statsWidth = ({ operands }: Frame): 2 | 4 => (operands.segments === undefined ? 2 : 4);

const statsBuffer = (frame: Frame): NamedBuffer => ['stats', `vec${statsWidth(frame)}<f32>`, { scratch: 0 }];

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

const inputBuffers = (frame: Frame): NamedBuffer[] => [
  ['q', 'vec4<f32>', { input: 0 }],
  ['k', 'vec4<f32>', { input: 1 }],
  ['v', 'vec4<f32>', { input: 2 }],
  ['dO', 'vec4<f32>', { input: frame.request.inputs.length - 1 }],
  statsBuffer(frame),
  ...optionalBuffer('keyMask', 'i32', frame.operands.keyMask),
];

const offsetText = 'i32(stats[p.batches * p.heads * u32(p.queries) + batch].x)';

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
${dotProduct(
  tile,
  'dP',
  (c) => `dO${c}`,
  (c) => `v${c}`,
)}
    let dS = select(0.0, exp(score - stat.x) * (dP - stat.y), seen);
${each(vectors, (c) => `    dq${c} = fma(k${c}, vec4<f32>(dS), dq${c});`)}`,
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
    let stat = stats[place];
${sharedRow(tile, 'q', 'q', `place * ${vectors}u`)}
${sharedRow(tile, 'dO', 'dO', `place * ${vectors}u`)}
${dotProduct(
  tile,
  'score',
  (c) => `k${c}`,
  (c) => `q${c}`,
)}
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
    let weight = select(0.0, exp(score - stat.x), seen);
${wantsV ? each(vectors, (c) => `    dv${c} = fma(dO${c}, vec4<f32>(weight), dv${c});`) : ''}
${
  wantsK
    ? `${dotProduct(
        tile,
        'dP',
        (c) => `v${c}`,
        (c) => `dO${c}`,
      )}
    let dS = weight * (dP - stat.y);
${each(vectors, (c) => `    dk${c} = fma(q${c}, vec4<f32>(dS), dk${c});`)}`
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
