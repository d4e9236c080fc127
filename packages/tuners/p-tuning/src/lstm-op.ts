/**
 * The recurrence of an LSTM: x `[n, 4h]` holds the input's part of the gates, w `[h, 4h]` the weights of the hidden state,
 *
 *     [i f g o] = x_t + h_{t-1} w,   c_t = σ(f) c_{t-1} + σ(i) tanh(g),   h_t = σ(o) tanh(c_t),
 *
 * from the first place to the last, or from the last to the first. As a graph that is n steps of several dispatches
 * each; the kernels walk the places in one dispatch, in one workgroup, an invocation for each element of h.
 */
import {
  add,
  applyOp,
  backpropagate,
  concat,
  defineOp,
  type KernelDispatch,
  type KernelFactory,
  type KernelTraits,
  matmul,
  mul,
  narrow,
  type Op,
  pad,
  ShapeError,
  sigmoid,
  type Tensor,
  tanh,
  transpose,
  zeros,
} from '@graftjs/tensor';

function decompose([x, w]: readonly Tensor[], { reverse }: { readonly reverse?: unknown }): Tensor[] {
  const [n, size] = [x!.shape[0]!, w!.shape[0]!];
  const [states, cells, all]: [Tensor[], Tensor[], Tensor[]] = [[], [], []];
  let [hidden, cell] = [zeros([1, size]), zeros([1, size])];
  for (let step = 0; step < n; step++) {
    const t = reverse ? n - 1 - step : step;
    const sums = add(narrow(x!, 0, t, 1), matmul(hidden, w!));
    const part = (k: number): Tensor => narrow(sums, 1, k * size, size);
    const [i, f, g, o] = [sigmoid(part(0)), sigmoid(part(1)), tanh(part(2)), sigmoid(part(3))];
    cell = add(mul(f, cell), mul(i, g));
    hidden = mul(o, tanh(cell));
    states[t] = hidden;
    cells[t] = cell;
    all[t] = concat([i, f, g, o], 1);
  }
  return [states, cells, all].map((rows) => concat(rows, 0));
}

/** Outputs: the states `[n, h]`; for the gradient the cells `[n, h]` and the gates after their functions `[n, 4h]`. */
export const lstmOp: Op = defineOp({
  name: 'lstm',
  decompose,
  infer: ([x, w]) => {
    const state = { shape: [x!.shape[0]!, w!.shape[0]!], dtype: x!.dtype };
    return [state, state, x!];
  },
  vjp: ({ inputs: [x, w], outputs, cotangents: [dStates], attrs, needs }) => {
    const [states, cells, gates] = outputs as [Tensor, Tensor, Tensor];
    const [dx] = applyOp(lstmGradientOp, [x!, w!, gates, cells, transpose(w!), dStates!], attrs) as [Tensor];
    if (!needs[1]) return [dx, undefined];
    // h_{t-1} at t
    const [n, size] = states.shape as [number, number];
    const before = attrs.reverse
      ? pad(narrow(states, 0, 1, n - 1), [0, 0], [1, 0])
      : pad(narrow(states, 0, 0, n - 1), [1, 0], [0, 0]);
    return [dx, n > 1 ? matmul(transpose(before), dx) : zeros([size, 4 * size])];
  },
  kernel: ({ inputs: [x, w], attrs }, traits) =>
    walk(x!.shape, w!.shape[0]!, attrs.reverse, traits, {
      label: 'lstm',
      buffers: {
        x: { input: 0 },
        w: { input: 1 },
        states: { output: 0 },
        cells: { output: 1 },
        gates: { output: 2 },
      },
      body: `
      var sums = vec4(x[at], x[at + p.size], x[at + 2u * p.size], x[at + 3u * p.size]);
      var before = 0.0;
      if (step > 0u) {
        for (var k = 0u; k < p.size; k++) {
          let row = 4u * k * p.size + u;
          sums += states[previous * p.size + k] * vec4(w[row], w[row + p.size], w[row + 2u * p.size], w[row + 3u * p.size]);
        }
        before = cells[previous * p.size + u];
      }
      let gate = vec4(squash(sums.x), squash(sums.y), safeTanh(sums.z), squash(sums.w));
      let cell = gate.y * before + gate.x * gate.z;
      for (var k = 0u; k < 4u; k++) { gates[at + k * p.size] = gate[k]; }
      cells[t * p.size + u] = cell;
      states[t * p.size + u] = gate.w * safeTanh(cell);`,
    }),
});

/** Inputs: x, w, the gates and cells of {@link lstmOp}, w transposed, and the states' cotangent; output: that of x. */
const lstmGradientOp: Op = defineOp({
  name: 'lstmGradient',
  infer: ([x]) => [x!],
  decompose: ([x, w, , , , dStates], attrs) =>
    backpropagate(decompose([x!, w!], attrs), [dStates, undefined, undefined], [x!], [x!, w!]),
  kernel: ({ inputs: [x, w], attrs }, traits) =>
    // The gradient walks from where the recurrence ended.
    walk(x!.shape, w!.shape[0]!, !attrs.reverse, traits, {
      label: 'lstmGradient',
      buffers: {
        gates: { input: 2 },
        cells: { input: 3 },
        w: { input: 4 },
        dStates: { input: 5 },
        dx: { output: 0 },
        carry: { scratch: 0 },
      },
      body: `
      var dHidden = dStates[t * p.size + u];
      var dCell = 0.0;
      if (step > 0u) {
        for (var k = 0u; k < 4u * p.size; k++) {
          dHidden += w[k * p.size + u] * dx[4u * previous * p.size + k];
        }
        dCell = carry[u];
      }
      var before = 0.0;
      if (step + 1u < p.count) { before = cells[next * p.size + u]; }
      let gate = vec4(gates[at], gates[at + p.size], gates[at + 2u * p.size], gates[at + 3u * p.size]);
      let squashed = safeTanh(cells[t * p.size + u]);
      dCell += dHidden * gate.w * (1.0 - squashed * squashed);
      let slope = vec4(gate.xy * (1.0 - gate.xy), 1.0 - gate.z * gate.z, gate.w * (1.0 - gate.w));
      let change = slope * vec4(dCell * gate.z, dCell * before, dCell * gate.x, dHidden * squashed);
      for (var k = 0u; k < 4u; k++) { dx[at + k * p.size] = change[k]; }
      carry[u] = dCell * gate.y;`,
    }),
});

interface Walk {
  readonly label: string;
  readonly buffers: Readonly<Record<string, KernelDispatch['bindings'][number]>>;
  /**
   * Statements for place `t` and element `u`, whose gates begin at `at`; the places visited before and after it are
   * `previous` and `next`, and `step` of `p.count` is under way.
   */
  readonly body: string;
}

/** One workgroup that visits the places in order, each invocation some elements of all of them. */
function walk(
  [n]: readonly number[],
  size: number,
  reverse: unknown,
  traits: KernelTraits,
  { label, buffers, body }: Walk,
): ReturnType<KernelFactory> {
  const lanes = Math.min(256, traits.maxInvocations);
  const names = Object.keys(buffers);
  const wgsl = `${names.map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<f32>;`).join('\n')}
struct Params { count: u32, size: u32, reverse: u32 }
@group(0) @binding(${names.length}) var<uniform> p: Params;

// Beyond ±15 tanh is ±1 in f32, and some drivers overflow there.
fn safeTanh(x: f32) -> f32 { return tanh(clamp(x, -15.0, 15.0)); }
fn squash(x: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0))); }

@compute @workgroup_size(${lanes})
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var step = 0u; step < p.count; step++) {
    let t = select(step, p.count - 1u - step, p.reverse == 1u);
    let previous = select(t - 1u, t + 1u, p.reverse == 1u);
    let next = select(t + 1u, t - 1u, p.reverse == 1u);
    for (var u = lane; u < p.size; u += ${lanes}u) {
      let at = 4u * t * p.size + u;${body}
    }
    storageBarrier();
  }
}
`;
  return {
    dispatches: [
      {
        label,
        wgsl,
        bindings: Object.values(buffers),
        params: Uint32Array.of(n!, size, reverse ? 1 : 0),
        workgroups: [1, 1, 1],
        flops: 8 * n! * size * size,
      },
    ],
    ...('carry' in buffers ? { scratch: [{ shape: [size], dtype: 'f32' }] } : {}),
  };
}

/**
 * The states `[n, h]` of an LSTM: x `[n, 4h]` and w `[h, 4h]`, both f32.
 * @throws ShapeError where they do not fit
 */
export function lstm(x: Tensor, w: Tensor, reverse: boolean): Tensor {
  const [size, width] = w.shape as [number, number];
  if (
    x.rank !== 2 ||
    w.rank !== 2 ||
    width !== 4 * size ||
    x.shape[1] !== width ||
    x.dtype !== 'f32' ||
    w.dtype !== 'f32'
  )
    throw new ShapeError('lstm', [x.shape, w.shape], 'needs f32 [n, 4h] and [h, 4h]');
  return applyOp(lstmOp, [x, w], { reverse })[0]!;
}
