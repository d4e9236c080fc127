import { readFileSync } from 'node:fs';
import { evaluate } from '@graftjs/reference';
import { backpropagate, constant, type Shape, type Tensor, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import {
  adamw,
  adamwStepValues,
  attention,
  clipScale,
  crossEntropy,
  gelu,
  geluTanh,
  globalNorm,
  layerNorm,
  rmsNorm,
  rotary,
  softmax,
  swiglu,
} from '../src/index.ts';

/** A tensor of PyTorch: its float64 values in base64. */
interface Stored {
  readonly shape: Shape;
  readonly float64: string;
}
interface StoredCase {
  readonly inputs: readonly Stored[];
  readonly output: Stored;
  readonly cotangent: Stored;
  readonly gradients: readonly Stored[];
  readonly angles?: Stored;
}
interface StoredSteps {
  readonly start: Stored;
  readonly gradients: readonly Stored[];
  readonly norms: readonly number[];
  readonly params: readonly Stored[];
}

const stored = JSON.parse(readFileSync(new URL('torch-values.json', import.meta.url), 'utf8'));

const values = (s: Stored): Float64Array => {
  const bytes = Uint8Array.from(Buffer.from(s.float64, 'base64'));
  return new Float64Array(bytes.buffer);
};
const variable = (s: Stored): Variable => new Variable(s.shape, Float32Array.from(values(s)));
const i32 = (shape: Shape, data: number[]): Tensor => constant(Int32Array.from(data), shape);

function expectClose(got: ArrayLike<number>, right: Float64Array, tolerance: number): void {
  expect(got.length).toBe(right.length);
  right.forEach((r, i) => {
    expect(Math.abs(got[i]! - r), `element ${i}: ${got[i]} for ${r}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(r)),
    );
  });
}

const operations: Record<string, (x: readonly Tensor[], angles?: Float64Array) => Tensor> = {
  softmax: ([x]) => softmax(x!),
  rmsNorm: ([x, weight]) => rmsNorm(x!, weight!, { eps: 1e-5 }),
  layerNorm: ([x, weight, bias]) => layerNorm(x!, { weight: weight!, bias: bias!, eps: 1e-5 }),
  layerNormPlain: ([x]) => layerNorm(x!, { eps: 1e-5 }),
  gelu: ([x]) => gelu(x!),
  geluTanh: ([x]) => geluTanh(x!),
  swiglu: ([gate, up]) => swiglu(gate!, up!),
  crossEntropy: ([logits]) => crossEntropy(logits!, i32([4], [2, 0, -100, 5])),
  attention: ([q, k, v]) => attention(q!, k!, v!, { causal: true }),
  attentionWindow: ([q, k, v]) => attention(q!, k!, v!, { causal: true, window: 3 }),
  attentionSoftcap: ([q, k, v]) => attention(q!, k!, v!, { causal: true, softcap: 1.5 }),
  attentionKeyMask: ([q, k, v]) =>
    attention(q!, k!, v!, { keyMask: i32([2, 5], [1, 1, 0, 1, 1, 1, 1, 1, 0, 0]) }),
};

describe('values and gradients are those of PyTorch', () => {
  // both sides compute in float64 from the same float32 numbers
  const tolerance = 1e-12;

  test.each(Object.keys(operations))('%s', (name) => {
    const known = stored[name] as StoredCase;
    const inputs = known.inputs.map(variable);
    const y = operations[name]!(inputs);
    const grads = backpropagate([y], [variable(known.cotangent)], inputs);
    const [output, ...gradients] = evaluate([y, ...grads]);
    expectClose(output!, values(known.output), tolerance);
    known.gradients.forEach((g, i) => {
      expectClose(gradients[i]!, values(g), tolerance);
    });
  });

  test('rotary, as in transformers', () => {
    const known = stored.rotary as StoredCase;
    const x = variable(known.inputs[0]!);
    const angles = values(known.angles!);
    const [cos, sin] = [new Variable(known.angles!.shape), new Variable(known.angles!.shape)];
    const y = rotary(x, cos, sin);
    const [gradient] = backpropagate([y], [variable(known.cotangent)], [x]);
    const feeds = new Map([
      [cos, angles.map(Math.cos)],
      [sin, angles.map(Math.sin)],
    ]);
    const [output, dx] = evaluate([y, gradient!], feeds);
    expectClose(output!, values(known.output), tolerance);
    expectClose(dx!, values(known.gradients[0]!), tolerance);
  });
});

test('three steps of AdamW with clipped gradients are those of PyTorch', () => {
  const known = stored.adamw as StoredSteps;
  const options = { beta1: 0.9, beta2: 0.99, eps: 1e-6 };
  const size = [6];
  const [param, m, v] = [new Variable(size), new Variable(size), new Variable(size)];
  const [grad, step] = [new Variable(size), new Variable([4])];
  const norm = globalNorm([grad]);
  const next = adamw(param, grad, m, v, step, { ...options, gradScale: clipScale(norm, 2) });
  let state: Float64Array[] = [values(known.start), new Float64Array(6), new Float64Array(6)];
  known.params.forEach((right, i) => {
    const feeds = new Map([
      [param, state[0]!],
      [m, state[1]!],
      [v, state[2]!],
      [grad, values(known.gradients[i]!)],
      [step, Float64Array.from(adamwStepValues({ lr: 0.01, weightDecay: 0.1, step: i + 1 }, options))],
    ]);
    const [gotNorm, ...rest] = evaluate([norm, ...next], feeds);
    state = rest;
    expectClose(gotNorm!, Float64Array.of(known.norms[i]!), 1e-12);
    // the step's numbers are rounded to float32
    expectClose(state[0]!, values(right), 1e-7);
  });
});
