import type { KernelDispatch, KernelFactory, KernelRequest, KernelTraits, TensorSpec } from '@graftjs/tensor';
import { elementKernel } from '../element-kernel.ts';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock } from '../kernel-text.ts';
import {
  dotProduct,
  type Extents,
  each,
  extentsOf,
  loadOwned,
  offsetStride,
  ownedRows,
  preamble,
  queryGroups,
  queryRows,
  sharedRow,
  sharedWords,
  storeOwned,
  type Tile,
  tileOf,
} from './tile.ts';

const stats = { scratch: 0 } as const;

/**
 * The gradient of attention without the matrix of scores (Dao et al., 2022, appendix B). With P = exp(scores -
 * logSum) found again row by row, and D = rowsum(dO O):
 * dV = Pᵀ dO, dS = P (dO Vᵀ - D), dQ = scale dS K, dK = scale dSᵀ Q.
 * Three dispatches: D; dQ with lanes that own queries; dK and dV with lanes that own keys and pass over the
 * queries of all heads that share them.
 */
export const attentionGradientKernel: KernelFactory = (request, traits) => {
  const e = extentsOf(request);
  const floats = [...request.inputs.slice(0, 3), ...request.inputs.slice(-3)];
  const tile = tileOf(e.d, traits);
  if (!tile || floats.some((t) => t.dtype !== 'f32') || traits.maxStorageBuffers < 8) return undefined;
  const wrt = request.attrs.wrt as readonly number[];
  const rowCount = e.batches * e.heads * e.queries;
  const scratch: TensorSpec[] = [{ shape: [rowCount + e.batches, 2], dtype: 'f32' }];
  const dispatches = [statsDispatch(request, e, traits)];
  const dq = wrt.indexOf(0);
  if (dq >= 0) dispatches.push(queryDispatch(request, e, tile, traits, dq));
  if (wrt.includes(1) || wrt.includes(2))
    dispatches.push(keyDispatch(request, e, tile, traits, wrt.indexOf(1), wrt.indexOf(2)));
  return { dispatches, scratch };
};

/**
 * (logSum, D) of each query row, and after them the offset of each sequence: so the two kernels that follow bind
 * one buffer instead of three, and stay within eight.
 */
function statsDispatch(request: KernelRequest, e: Extents, traits: KernelTraits): KernelDispatch {
  const { inputs, attrs } = request;
  const rowCount = e.batches * e.heads * e.queries;
  return elementKernel(
    {
      label: 'attentionGradient rows',
      count: rowCount + e.batches,
      buffers: [
        ['o', 'vec4<f32>', { input: inputs.length - 3 }],
        ['logSums', 'f32', { input: inputs.length - 2 }],
        ['dO', 'vec4<f32>', { input: inputs.length - 1 }],
        ['stats', 'vec2<f32>', stats],
        ...(attrs.hasOffset ? [['offsets', 'i32', { input: 3 }] as const] : []),
      ],
      words: [
        ['rows', 'u32', rowCount],
        ['vectors', 'u32', e.d / 4],
        ['offset', 'i32', e.keys - e.queries],
        ['offsetStride', 'u32', offsetStride(request)],
      ],
      flops: 2 * rowCount * e.d,
      body: `  if (i >= p.rows) {
    stats[i] = vec2<f32>(f32(${attrs.hasOffset ? 'offsets[(i - p.rows) * p.offsetStride]' : 'p.offset'}), 0.0);
    return;
  }
  var parts = vec4<f32>();
  for (var c = 0u; c < p.vectors; c++) { parts = fma(o[i * p.vectors + c], dO[i * p.vectors + c], parts); }
  stats[i] = vec2<f32>(logSums[i], dot(parts, vec4<f32>(1.0)));`,
    },
    traits,
  );
}

const inputBuffers = (request: KernelRequest): NamedBuffer[] => [
  ['q', 'vec4<f32>', { input: 0 }],
  ['k', 'vec4<f32>', { input: 1 }],
  ['v', 'vec4<f32>', { input: 2 }],
  ['dO', 'vec4<f32>', { input: request.inputs.length - 1 }],
  ['stats', 'vec2<f32>', stats],
  ...(request.attrs.hasKeyMask
    ? [['keyMask', 'i32', { input: request.attrs.hasOffset ? 4 : 3 }] as const]
    : []),
];

function assemble(
  label: string,
  request: KernelRequest,
  e: Extents,
  tile: Tile,
  blocks: number,
  groups: number,
  outputs: readonly NamedBuffer[],
  body: string,
  products: number,
  traits: KernelTraits,
): KernelDispatch {
  const buffers = [...inputBuffers(request), ...outputs];
  const params = uniformBlock(buffers.length, [
    ...sharedWords(e, request.attrs, groups, blocks),
    ['batches', 'u32', e.batches],
  ]);
  return {
    label,
    wgsl: [preamble(tile), storageBuffers(buffers), params.text, entry(tile.lanes, body)].join('\n'),
    bindings: buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(groups, traits),
    flops: (2 * products * e.batches * e.heads * e.queries * e.keys * e.d) / (request.attrs.causal ? 2 : 1),
  };
}

const offsetText = 'i32(stats[p.batches * p.heads * u32(p.queries) + batch].x)';

function queryDispatch(
  request: KernelRequest,
  e: Extents,
  tile: Tile,
  traits: KernelTraits,
  output: number,
): KernelDispatch {
  const { vectors, rows } = tile;
  const { blocks, groups } = queryGroups(e, tile);
  const body = `${queryRows(tile, offsetText)}
${each(
  rows,
  (r) => `
  let stat${r} = stats[place${r}];
${loadOwned(tile, [
  { name: `q${r}_`, buffer: 'q', at: `at${r}`, times: 'p.scale' },
  { name: `dO${r}_`, buffer: 'dO', at: `at${r}` },
])}
${each(vectors, (c) => `  var dq${r}_${c} = vec4<f32>();`)}`,
)}
  for (var key = begin; key < end; key++) {
    let keyAt = (keyBase + u32(key)) * ${vectors}u;
${sharedRow(tile, 'k', 'k', 'keyAt')}
${sharedRow(tile, 'v', 'v', 'keyAt')}
    let unmasked = ${request.attrs.hasKeyMask ? 'keyMask[batch * u32(p.keys) + u32(key)] != 0' : 'true'};
${each(
  rows,
  (r) => `
${dotProduct(
  tile,
  `s${r}`,
  (c) => `q${r}_${c}`,
  (c) => `k${c}`,
)}
${dotProduct(
  tile,
  `dP${r}`,
  (c) => `dO${r}_${c}`,
  (c) => `v${c}`,
)}
    let seen${r} = unmasked && key <= highest${r} && key > lowest${r};
    let dS${r} = select(0.0, exp(s${r} - stat${r}.x) * (dP${r} - stat${r}.y), seen${r});
${each(vectors, (c) => `    dq${r}_${c} = fma(k${c}, vec4<f32>(dS${r}), dq${r}_${c});`)}`,
)}
  }
${each(
  rows,
  (r) => `
  if (row${r} < runLength) {
${storeOwned(tile, [{ name: `dq${r}_`, buffer: 'dq', at: `at${r}`, times: 'p.scale' }])}
  }`,
)}`;
  const outputs = [['dq', 'vec4<f32>', { output }] as const];
  return assemble('attentionGradient queries', request, e, tile, blocks, groups, outputs, body, 3, traits);
}

function keyDispatch(
  request: KernelRequest,
  e: Extents,
  tile: Tile,
  traits: KernelTraits,
  dk: number,
  dv: number,
): KernelDispatch {
  const { vectors, rows, lanes } = tile;
  const owned = ownedRows(tile);
  const blocks = Math.ceil(e.keys / owned);
  const groups = blocks * e.batches * e.kvHeads;
  const [wantsK, wantsV] = [dk >= 0, dv >= 0];
  const body = `
  if (group >= p.groups) { return; }
  let kvHead = group / p.blocks;
  let batch = kvHead / p.kvHeads;
  let sharing = p.heads / p.kvHeads;
  let firstHead = batch * p.heads + (kvHead % p.kvHeads) * sharing;
  let firstKey = i32(group % p.blocks) * ${owned};
  let lastKey = min(firstKey + ${owned}, p.keys) - 1;
  let offset = ${offsetText};
  var begin = 0;
  var end = p.queries;
  if (p.causal != 0u) {
    begin = max(0, firstKey - offset);
    end = min(p.queries, lastKey - offset + p.window);
  }
${each(
  rows,
  (r) => `
  let key${r} = firstKey + ${r * lanes} + i32(lane);
  let held${r} = u32(min(key${r}, p.keys - 1));
  let at${r} = (kvHead * u32(p.keys) + held${r}) * ${vectors}u;
  let unmasked${r} = ${request.attrs.hasKeyMask ? `keyMask[batch * u32(p.keys) + held${r}] != 0` : 'true'};
${loadOwned(tile, [
  { name: `k${r}_`, buffer: 'k', at: `at${r}`, times: 'p.scale' },
  ...(wantsK ? [{ name: `v${r}_`, buffer: 'v', at: `at${r}` }] : []),
])}
${wantsK ? each(vectors, (c) => `  var dk${r}_${c} = vec4<f32>();`) : ''}
${wantsV ? each(vectors, (c) => `  var dv${r}_${c} = vec4<f32>();`) : ''}`,
)}
  for (var head = firstHead; head < firstHead + sharing; head++) {
  for (var row = begin; row < end; row++) {
    let place = head * u32(p.queries) + u32(row);
    let stat = stats[place];
${sharedRow(tile, 'q', 'q', `place * ${vectors}u`)}
${sharedRow(tile, 'dO', 'dO', `place * ${vectors}u`)}
${each(
  rows,
  (r) => `
${dotProduct(
  tile,
  `s${r}`,
  (c) => `k${r}_${c}`,
  (c) => `q${c}`,
)}
    let seen${r} = unmasked${r} && (p.causal == 0u || (key${r} <= offset + row && key${r} > offset + row - p.window));
    let weight${r} = select(0.0, exp(s${r} - stat.x), seen${r});
${wantsV ? each(vectors, (c) => `    dv${r}_${c} = fma(dO${c}, vec4<f32>(weight${r}), dv${r}_${c});`) : ''}
${
  wantsK
    ? `${dotProduct(
        tile,
        `dP${r}`,
        (c) => `v${r}_${c}`,
        (c) => `dO${c}`,
      )}
    let dS${r} = weight${r} * (dP${r} - stat.y);
${each(vectors, (c) => `    dk${r}_${c} = fma(q${c}, vec4<f32>(dS${r}), dk${r}_${c});`)}`
    : ''
}`,
)}
  }
  }
${each(
  rows,
  (r) => `
  if (key${r} < p.keys) {
${storeOwned(tile, [
  ...(wantsK ? [{ name: `dk${r}_`, buffer: 'dk', at: `at${r}`, times: 'p.scale' }] : []),
  ...(wantsV ? [{ name: `dv${r}_`, buffer: 'dv', at: `at${r}` }] : []),
])}
  }`,
)}`;
  const outputs: NamedBuffer[] = [];
  if (wantsK) outputs.push(['dk', 'vec4<f32>', { output: dk }]);
  if (wantsV) outputs.push(['dv', 'vec4<f32>', { output: dv }]);
  const products = 1 + (wantsK ? 2 : 0) + (wantsV ? 1 : 0);
  return assemble(
    'attentionGradient keys',
    request,
    e,
    tile,
    blocks,
    groups,
    outputs,
    body,
    products,
    traits,
  );
}
