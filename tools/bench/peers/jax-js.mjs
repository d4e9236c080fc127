import './host.mjs';
import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import { serve } from './host.mjs';

await init('webgpu');
defaultDevice('webgpu');

// Every operation uses up its arguments; `.ref` keeps one for another use.

async function product({ a, b, batch, m, k, n, form }) {
  const stack = (shape) => (batch > 1 ? [batch, ...shape] : shape);
  const x = np.array(a, { shape: stack(form === 'tn' ? [k, m] : [m, k]) });
  const y = np.array(b, { shape: stack(form === 'nt' ? [n, k] : [k, n]) });
  const multiply = jit((p, q) =>
    np.matmul(form === 'tn' ? np.matrixTranspose(p) : p, form === 'nt' ? np.matrixTranspose(q) : q),
  );
  return {
    async run(times) {
      const products = Array.from({ length: times }, () => multiply(x.ref, y.ref));
      await blockUntilReady(products);
      tree.dispose(products);
    },
    values: () => multiply(x.ref, y.ref).data(),
    release() {
      tree.dispose([x, y]);
      multiply.dispose();
    },
  };
}

/** The step that LoraTask in tools/bench/lora-program.ts describes. */
async function loraStep(task) {
  const { config, rotary, scale, learningRate, batch, tokens, ids, labels } = task;
  const { hidden, layers, heads, vocab, eps } = config;
  const headDim = hidden / heads;
  // Weights of linear layers as this library keeps them, [in, out].
  const arrays = (named) =>
    Object.fromEntries(
      Object.entries(named).map(([name, { values, shape }]) => {
        const [rows, columns] = shape;
        if (!name.includes('_proj')) return [name, np.array(values, { shape })];
        const turned = values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
        return [name, np.array(turned, { shape: [columns, rows] })];
      }),
    );

  const lossOf = (adapter, w, inputs, targets) => {
    const linear = (x, name) => {
      const low = np.matmul(x.ref, adapter[`${name}.lora_A`]).mul(scale);
      return np.matmul(x, w[name]).add(np.matmul(low, adapter[`${name}.lora_B`]));
    };
    const norm = (x, weight) => {
      const root = np.sqrt(np.mean(np.square(x.ref), -1, { keepdims: true }).add(eps));
      return x.mul(np.reciprocal(root)).mul(weight);
    };
    const split = (x) => x.reshape([batch, tokens, heads, headDim]);
    const [cos, sin] = [w.cos, w.sin].map((table) => table.reshape([tokens, 1, headDim]));
    const rotate = (x) => {
      const [x1, x2] = np.split(x.ref, 2, -1);
      return x.mul(cos.ref).add(np.concatenate([x2.neg(), x1], -1).mul(sin.ref));
    };
    const attention = (x, at) => {
      const q = rotate(split(linear(x.ref, `${at}.q_proj`)));
      const k = rotate(split(linear(x.ref, `${at}.k_proj`)));
      const v = split(linear(x, `${at}.v_proj`));
      const mixed = nn.dotProductAttention(q, k, v, { isCausal: true });
      return linear(mixed.reshape([batch * tokens, hidden]), `${at}.o_proj`);
    };
    const mlp = (x, at) => {
      const gated = nn.silu(linear(x.ref, `${at}.gate_proj`)).mul(linear(x, `${at}.up_proj`));
      return linear(gated, `${at}.down_proj`);
    };
    let x = np.take(w.embed_tokens.ref, inputs, 0);
    for (let i = 0; i < layers; i++) {
      x = x.ref.add(attention(norm(x, w[`${i}.input_layernorm`]), `${i}.self_attn`));
      x = x.ref.add(mlp(norm(x, w[`${i}.post_attention_layernorm`]), `${i}.mlp`));
    }
    tree.dispose([cos, sin]);
    const logits = np.matmul(norm(x, w.norm), np.matrixTranspose(w.embed_tokens));
    const counts = targets.ref.greaterEqual(0).astype(np.float32);
    const chosen = nn.oneHot(np.maximum(targets, 0), vocab).mul(counts.ref.reshape([-1, 1]));
    return np.sum(nn.logSoftmax(logits, -1).mul(chosen)).neg().div(np.sum(counts));
  };

  const [beta1, beta2] = [0.9, 0.999];
  const next = jit((adapter, first, second, corrections, w, inputs, targets) => {
    const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(adapter), w, inputs, targets);
    const m = tree.map((a, g) => a.mul(beta1).add(g.mul(1 - beta1)), first, tree.ref(gradients));
    const v = tree.map((a, g) => a.mul(beta2).add(np.square(g).mul(1 - beta2)), second, gradients);
    const [c1, c2] = np.split(corrections, 2);
    const stepped = tree.map(
      (p, a, b) => {
        const direction = a.div(c1.ref).div(np.sqrt(b.div(c2.ref)).add(1e-8));
        return p.sub(direction.mul(learningRate));
      },
      adapter,
      tree.ref(m),
      tree.ref(v),
    );
    tree.dispose([c1, c2]);
    return [loss, [stepped, m, v]];
  });

  const weights = { ...arrays(task.frozen), ...arrays(rotary) };
  const adapter = arrays(task.adapter);
  const zeros = () => tree.map((p) => np.zeros(p.shape), adapter);
  let state = [adapter, zeros(), zeros()];
  let taken = 0;
  const step = async () => {
    taken++;
    const corrections = np.array(Float32Array.of(1 - beta1 ** taken, 1 - beta2 ** taken));
    const inputs = np.array(ids, { dtype: np.int32 });
    const targets = np.array(labels, { dtype: np.int32 });
    const [loss, following] = next(...state, corrections, tree.ref(weights), inputs, targets);
    state = following;
    return (await loss.data())[0];
  };
  return {
    async run(times) {
      for (let i = 0; i < times; i++) await step();
      await blockUntilReady(state);
    },
    async values() {
      const losses = [];
      while (losses.length < task.steps) losses.push(await step());
      return losses;
    },
    release() {
      tree.dispose([state, weights]);
      next.dispose();
    },
  };
}

serve({ product, loraStep });
