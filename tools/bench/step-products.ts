import { Runtime } from '@graftjs/compiler';
import { cast, matmul, narrowToHalves, transpose, Variable } from '@graftjs/tensor';
import { noise, timeTensors } from './alone.ts';
import type { Bench } from './bench.ts';
import type { Row } from './report.ts';

/** Linear layers by the names of their extents: `[in, out]`. */
const layers: Readonly<Record<string, readonly (readonly [name: string, from: number, to: number])[]>> = {
  'GPT-2': [
    ['c_attn', 768, 2304],
    ['attn.c_proj', 768, 768],
    ['c_fc', 768, 3072],
    ['mlp.c_proj', 3072, 768],
    ['head', 768, 50257],
  ],
  'SmolLM2-135M': [
    ['q_proj, o_proj', 576, 576],
    ['k_proj, v_proj', 576, 192],
    ['gate_proj, up_proj', 576, 1536],
    ['down_proj', 1536, 576],
    ['head', 576, 49152],
  ],
};
const ranks = [4, 8, 16, 32, 64];

const tokens = 512;
/** Rows of a head's product: it is computed in chunks. */
const headTokens = 128;

interface Product {
  readonly name: string;
  readonly form: 'nn' | 'nt' | 'tn';
  readonly extents: readonly [m: number, k: number, n: number];
}

function products(): Product[] {
  const ofLayers = Object.entries(layers).flatMap(([model, linears]) =>
    linears.flatMap(([layer, from, to]): Product[] => {
      const m = layer === 'head' ? headTokens : tokens;
      return [
        { name: `${model} ${layer}`, form: 'nt', extents: [m, from, to] },
        { name: `${model} ${layer}, input's gradient`, form: 'nn', extents: [m, to, from] },
      ];
    }),
  );
  const ofAdapters = ranks.flatMap((r): Product[] => [
    { name: `LoRA of rank ${r}, x Aᵀ`, form: 'nt', extents: [tokens, 768, r] },
    { name: `LoRA of rank ${r}, times Bᵀ`, form: 'nt', extents: [tokens, r, 768] },
    { name: `LoRA of rank ${r}, A's gradient`, form: 'tn', extents: [r, tokens, 768] },
    { name: `LoRA of rank ${r}, B's gradient`, form: 'tn', extents: [768, tokens, r] },
  ]);
  return [...ofLayers, ...ofAdapters];
}

/** Every product of a GPT-2's and a SmolLM2-135M's LoRA step, forward and backward. */
export async function benchStepProducts({ gpu, rounds }: Bench): Promise<Row[]> {
  const runtime = new Runtime(gpu);
  const rows: Row[] = [];
  for (const { name, form, extents } of products()) {
    const [m, k, n] = extents;
    const a = new Variable(form === 'tn' ? [k, m] : [m, k], noise(m * k, 1));
    const shape = form === 'nt' ? [n, k] : [k, n];
    const values = noise(k * n, 2);
    // in f32, GPT-2's head is more than llvmpipe binds
    const b = name.includes('head')
      ? new Variable(shape, narrowToHalves('f16', values), { dtype: 'f16' })
      : new Variable(shape, values);
    const right = cast(b, 'f32');
    const product = matmul(form === 'tn' ? transpose(a) : a, form === 'nt' ? transpose(right) : right);
    const flops = 2 * m * k * n;
    const timing = await timeTensors(runtime, [product], flops > 1e9 ? Math.min(rounds, 3) : rounds);
    rows.push({
      group: 'step-products',
      name,
      form,
      extents: extents.join(' x '),
      milliseconds: timing.median,
      gflops: flops / timing.median / 1e6,
      rounds: timing.samples.length,
    });
    for (const operand of [a, b]) runtime.release(operand);
  }
  return rows;
}
