/**
 * Invertible adapters (Pfeiffer et al., 2020, arXiv:2005.00052): the embeddings x = [x₁, x₂], two halves of their
 * features, go through a coupling that can be taken back, and its inverse stands before the output embeddings.
 *
 *     NICE (Dinh et al., 2015):             y₁ = x₁ + F(x₂),               y₂ = x₂ + G(y₁)
 *     GLOW (Kingma and Dhariwal, 2018):     y₁ = x₁ e(s₂) + t₂,            [s₂, t₂] = S₂(x₂)
 *                                           y₂ = x₂ e(s₁) + t₁,            [s₁, t₁] = S₁(y₁)
 *
 * with e(s) = exp(0.636 c atan(s / c)), c = 5, and networks W f(V x + v) + w of half their input's width.
 */
import { type HostRandom, normalArray, Parameter } from '@graftjs/nn';
import { add, concat, div, exp, linear, mul, narrow, neg, sqrt, sub, type Tensor } from '@graftjs/tensor';

/** A change of embeddings `[b, t, d]` that can be taken back. */
export interface InvertibleAdapter {
  /** By AdapterHub's names below it. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  forward(x: Tensor): Tensor;
  inverse(y: Tensor): Tensor;
}

export interface InvertibleOptions {
  readonly kind: 'nice' | 'glow';
  /** d */
  readonly width: number;
  /** The networks have so many times fewer units than features. */
  readonly reductionFactor: number;
  readonly activation: (x: Tensor) => Tensor;
}

/** A new adapter, near the identity. */
export function invertibleAdapter(options: InvertibleOptions, random: HostRandom): InvertibleAdapter {
  const first = Math.floor(options.width / 2);
  const second = options.width - first;
  const make = (inFeatures: number, outFeatures: number): Network =>
    network(inFeatures, outFeatures, options, random);
  const halves = (x: Tensor): [Tensor, Tensor] => [narrow(x, -1, 0, first), narrow(x, -1, first, second)];
  const joined = (a: Tensor, b: Tensor): Tensor => concat([a, b], -1);
  if (options.kind === 'nice') {
    const [F, G] = [make(second, first), make(first, second)];
    return {
      parameters: named({ F, G }),
      forward: (x) => {
        const [x1, x2] = halves(x);
        const y1 = add(x1, F.apply(x2));
        return joined(y1, add(x2, G.apply(y1)));
      },
      inverse: (y) => {
        const [y1, y2] = halves(y);
        const x2 = sub(y2, G.apply(y1));
        return joined(sub(y1, F.apply(x2)), x2);
      },
    };
  }
  const [s1, s2] = [make(first, 2 * second), make(second, 2 * first)];
  const coefficients = (net: Network, x: Tensor, count: number): [Tensor, Tensor] => {
    const r = net.apply(x);
    return [logScale(narrow(r, -1, 0, count)), narrow(r, -1, count, count)];
  };
  return {
    parameters: named({ s1, s2 }),
    forward: (x) => {
      const [x1, x2] = halves(x);
      const [e2, t2] = coefficients(s2, x2, first);
      const y1 = add(mul(x1, exp(e2)), t2);
      const [e1, t1] = coefficients(s1, y1, second);
      return joined(y1, add(mul(x2, exp(e1)), t1));
    },
    inverse: (y) => {
      const [y1, y2] = halves(y);
      const [e1, t1] = coefficients(s1, y1, second);
      const x2 = mul(sub(y2, t1), exp(neg(e1)));
      const [e2, t2] = coefficients(s2, x2, first);
      return joined(mul(sub(y1, t2), exp(neg(e2))), x2);
    },
  };
}

const clamp = 5;
const logScale = (s: Tensor): Tensor => mul(atan(mul(s, 1 / clamp)), 0.636 * clamp);

/** atan x: the half of its angle three times, tan(a / 2) = tan a / (1 + √(1 + tan² a)), then the series to the 9th power. */
function atan(x: Tensor): Tensor {
  let z = x;
  for (let i = 0; i < 3; i++) z = div(z, add(sqrt(add(mul(z, z), 1)), 1));
  const square = mul(z, z);
  const series = [1 / 5, -1 / 3, 1].reduce(
    (sum, coefficient) => add(mul(sum, square), coefficient),
    add(mul(square, 1 / 9), -1 / 7),
  );
  return mul(mul(z, series), 8);
}

interface Network {
  readonly parameters: Readonly<Record<string, Parameter>>;
  apply(x: Tensor): Tensor;
}

function network(
  inFeatures: number,
  outFeatures: number,
  { reductionFactor, activation }: InvertibleOptions,
  random: HostRandom,
): Network {
  const units = Math.trunc(Math.floor(inFeatures / reductionFactor));
  const layer = (rows: number, columns: number): readonly [Parameter, Parameter] => [
    new Parameter([rows, columns], normalArray(rows * columns, 0.02, random)),
    new Parameter([rows]),
  ];
  const [V, v] = layer(units, inFeatures);
  const [W, w] = layer(outFeatures, units);
  return {
    parameters: { '0.weight': V, '0.bias': v, '2.weight': W, '2.bias': w },
    apply: (x) => linear(activation(linear(x, V, v)), W, w),
  };
}

const named = (networks: Readonly<Record<string, Network>>): Record<string, Parameter> =>
  Object.fromEntries(
    Object.entries(networks).flatMap(([name, { parameters }]) =>
      Object.entries(parameters).map(([key, p]): [string, Parameter] => [`${name}.${key}`, p]),
    ),
  );
