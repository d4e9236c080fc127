import type { KernelDispatch, KernelFactory } from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock } from '../kernel-text.ts';
import {
  dotProduct,
  each,
  extentsOf,
  hiddenScore,
  leastSum,
  loadOwned,
  offsetStride,
  preamble,
  queryGroups,
  queryRows,
  sharedRow,
  sharedWords,
  storeOwned,
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
  const tile = tileOf(e.d, traits);
  if (!tile || inputs.slice(0, 3).some((t) => t.dtype !== 'f32') || traits.maxStorageBuffers < 7)
    return undefined;
  // A lane for a query leaves a GPU idle where there are hardly any queries: the products are better there.
  if (!tile.broadcast && (e.heads / e.kvHeads) * e.queries < 8) return undefined;
  const { vectors, rows, lanes } = tile;
  const { blocks, groups } = queryGroups(e, tile);
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
  const body = `${queryRows(tile, attrs.hasOffset ? 'offsets[batch * p.offsetStride]' : 'p.offset')}
${each(
  rows,
  (r) => `
  var m${r} = ${hiddenScore};
  var l${r} = 0.0;
${loadOwned(tile, [{ name: `q${r}_`, buffer: 'q', at: `at${r}`, times: 'p.scale' }])}
${each(vectors, (c) => `  var o${r}_${c} = vec4<f32>();`)}`,
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
  if (row${r} < runLength) {
    let total = max(l${r}, ${leastSum});
    logSums[place${r}] = m${r} + log(total);
    let share = 1.0 / total;
${storeOwned(tile, [{ name: `o${r}_`, buffer: 'o', at: `at${r}`, times: 'share' }])}
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
