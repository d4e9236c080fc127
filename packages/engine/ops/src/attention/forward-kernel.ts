import type { KernelDispatch, KernelFactory } from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock } from '../kernel-text.ts';
import {
  dotProduct,
  each,
  extentsOf,
  offsetStride,
  ownedRows,
  preamble,
  sharedRow,
  sharedWords,
  tileOf,
} from './tile.ts';

/**
 * Attention without the matrix of scores (Dao et al., 2022): each lane owns query rows, passes over the keys that
 * its workgroup can see, and keeps the greatest score m, the sum l of exp(score - m) and the sum of
 * exp(score - m) v, rescaled whenever m grows.
 */
export const attentionKernel: KernelFactory = (request, traits) => {
  const { inputs, attrs } = request;
  const e = extentsOf(request);
  if (inputs.slice(0, 3).some((t) => t.dtype !== 'f32') || e.d % 4 !== 0 || traits.maxStorageBuffers < 7)
    return undefined;
  const tile = tileOf(e.d, traits);
  const { vectors, rows, lanes } = tile;
  const blocks = Math.ceil(e.queries / ownedRows(tile));
  const groups = blocks * e.batches * e.heads;
  const keyMaskInput = attrs.hasOffset ? 4 : 3;
  const buffers: NamedBuffer[] = [
    ['q', 'vec4<f32>', { input: 0 }],
    ['k', 'vec4<f32>', { input: 1 }],
    ['v', 'vec4<f32>', { input: 2 }],
    ['o', 'vec4<f32>', { output: 0 }],
    ['logSums', 'f32', { output: 1 }],
    ...(attrs.hasOffset ? [['offsets', 'i32', { input: 3 }] as const] : []),
    ...(attrs.hasKeyMask ? [['keyMask', 'i32', { input: keyMaskInput }] as const] : []),
  ];
  const params = uniformBlock(buffers.length, [
    ...sharedWords(e, attrs, groups, blocks),
    ['offset', 'i32', e.keys - e.queries],
    ['offsetStride', 'u32', offsetStride(request)],
  ]);
  const body = `
  if (group >= p.groups) { return; }
  let head = group / p.blocks;
  let batch = head / p.heads;
  let kvHead = batch * p.kvHeads + (head % p.heads) / (p.heads / p.kvHeads);
  let keyBase = kvHead * u32(p.keys);
  let firstRow = i32(group % p.blocks) * ${ownedRows(tile)};
  let lastRow = min(firstRow + ${ownedRows(tile)}, p.queries) - 1;
  let offset = ${attrs.hasOffset ? 'offsets[batch * p.offsetStride]' : 'p.offset'};
  var begin = 0;
  var end = p.keys;
  if (p.causal != 0u) {
    begin = max(0, offset + firstRow - p.window + 1);
    end = min(p.keys, offset + lastRow + 1);
  }
${each(
  rows,
  (r) => `
  let row${r} = firstRow + ${r * lanes} + i32(lane);
  let at${r} = (head * u32(p.queries) + u32(min(row${r}, p.queries - 1))) * ${vectors}u;
  let highest${r} = select(p.keys, offset + row${r}, p.causal != 0u);
  let lowest${r} = select(-1, offset + row${r} - p.window, p.causal != 0u);
  var m${r} = -1e30;
  var l${r} = 0.0;
${each(vectors, (c) => `  let q${r}_${c} = q[at${r} + ${c}u] * p.scale;\n  var o${r}_${c} = vec4<f32>();`)}`,
)}
  for (var key = begin; key < end; key++) {
    let keyAt = (keyBase + u32(key)) * ${vectors}u;
${sharedRow(tile, 'k', 'k', 'keyAt')}
${sharedRow(tile, 'v', 'v', 'keyAt')}
    let unmasked = ${attrs.hasKeyMask ? 'keyMask[batch * u32(p.keys) + u32(key)] != 0' : 'true'};
${each(
  rows,
  (r) => `
${dotProduct(
  tile,
  `s${r}`,
  (c) => `q${r}_${c}`,
  (c) => `k${c}`,
)}
    let seen${r} = unmasked && key <= highest${r} && key > lowest${r};
    let next${r} = select(m${r}, max(m${r}, s${r}), seen${r});
    let keep${r} = exp(m${r} - next${r});
    let weight${r} = select(0.0, exp(s${r} - next${r}), seen${r});
    m${r} = next${r};
    l${r} = fma(l${r}, keep${r}, weight${r});
${each(vectors, (c) => `    o${r}_${c} = fma(v${c}, vec4<f32>(weight${r}), o${r}_${c} * keep${r});`)}`,
)}
  }
${each(
  rows,
  (r) => `
  if (row${r} < p.queries) {
    let total = max(l${r}, 1e-37);
    logSums[head * u32(p.queries) + u32(row${r})] = m${r} + log(total);
    let share = 1.0 / total;
${each(vectors, (c) => `    o[at${r} + ${c}u] = o${r}_${c} * share;`)}
  }`,
)}`;
  const dispatch: KernelDispatch = {
    label: 'attention',
    wgsl: [preamble(tile), storageBuffers(buffers), params.text, entry(lanes, body)].join('\n'),
    bindings: buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(groups, traits),
    flops: (4 * e.batches * e.heads * e.queries * e.keys * e.d) / (attrs.causal ? 2 : 1),
  };
  return { dispatches: [dispatch] };
};
