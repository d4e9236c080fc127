import {
  applyOp,
  constant,
  defineOp,
  mul,
  type Op,
  reshape,
  sub,
  type Tensor,
  take,
  transpose,
} from '@graftjs/tensor';

/**
 * From triangles to antisymmetric matrices, and in the gradient back: both read where the others write, so nothing is
 * added up by index. Inputs: triangles `[blocks, n (n - 1) / 2]`, and four tables.
 */
const skewOp: Op = defineOp({
  name: 'skew',
  decompose: ([triangles, source, sign]) => {
    const entries = mul(take(transpose(triangles!), source!), sign!); // [n², blocks]
    const n = Math.sqrt(source!.size);
    return [reshape(transpose(entries), [triangles!.shape[0]!, n, n])];
  },
  vjp: ({ inputs: [triangles, , , upper, lower], cotangents: [dy] }) => {
    const entries = transpose(reshape(dy!, [triangles!.shape[0]!, -1])); // [n², blocks]
    return [transpose(sub(take(entries, upper!), take(entries, lower!)))];
  },
});

/**
 * Makes antisymmetric n x n matrices of their strict upper triangles, row by row (`torch.triu_indices(n, n, 1)`):
 * `[blocks, n (n - 1) / 2]` -> `[blocks, n, n]`, f32. n from 2 on.
 */
export function skewMatrices(n: number): (triangles: Tensor) => Tensor {
  const [upper, lower]: [number[], number[]] = [[], []];
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) {
      upper.push(i * n + j);
      lower.push(j * n + i);
    }
  const source = new Int32Array(n * n);
  const sign = new Float32Array(n * n);
  upper.forEach((at, k) => {
    source[at] = k;
    sign[at] = 1;
    source[lower[k]!] = k;
    sign[lower[k]!] = -1;
  });
  const tables = [
    constant(source, [n * n]),
    constant(sign, [n * n, 1]),
    constant(Int32Array.from(upper), [upper.length]),
    constant(Int32Array.from(lower), [lower.length]),
  ];
  return (triangles) => applyOp(skewOp, [triangles, ...tables])[0]!;
}
