import './host.mjs';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgpu';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { serve } from './host.mjs';

await tf.setBackend('webgpu');
await tf.ready();

/** Resolves when the device has done all that was asked for. */
async function done() {
  const backend = tf.backend();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  await backend.queue.onSubmittedWorkDone();
}

async function product({ a, b, batch, m, k, n, form }) {
  const stack = (shape) => (batch > 1 ? [batch, ...shape] : shape);
  const [transposeA, transposeB] = [form === 'tn', form === 'nt'];
  const x = tf.tensor(a, stack(transposeA ? [k, m] : [m, k]));
  const y = tf.tensor(b, stack(transposeB ? [n, k] : [k, n]));
  const multiply = () => tf.matMul(x, y, transposeA, transposeB);
  return {
    async run(times) {
      for (let i = 0; i < times; i++) multiply().dispose();
      await done();
    },
    async values() {
      const z = multiply();
      const values = await z.data();
      z.dispose();
      return values;
    },
    release: () => tf.dispose([x, y]),
  };
}

/** The step that LoraTask in tools/bench/lora-program.ts describes. */
async function loraStep(task) {
  const { config, rotary, scale, learningRate, batch, tokens, ids, labels } = task;
  const { hidden, layers, heads, vocab, eps } = config;
  const headDim = hidden / heads;
  // Weights of linear layers as this library keeps them, [in, out].
  const tensors = (named, make) =>
    Object.entries(named).map(([name, { values, shape }]) => {
      const stored = () => tf.tensor(values, shape);
      return [name, make(name.includes('_proj') ? tf.tidy(() => tf.transpose(stored())) : stored(), name)];
    });
  const w = Object.fromEntries(tensors(task.frozen, (tensor) => tensor));
  const adapter = Object.fromEntries(
    tensors(task.adapter, (tensor, name) => tf.variable(tensor, true, name)),
  );
  const { cos, sin } = Object.fromEntries(tensors(rotary, (tensor) => tensor));
  const later = (_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0);
  const mask = tf.tensor(Float32Array.from({ length: tokens * tokens }, later), [tokens, tokens]);

  const linear = (x, name) => {
    const low = tf.mul(tf.matMul(x, adapter[`${name}.lora_A`]), scale);
    return tf.add(tf.matMul(x, w[name]), tf.matMul(low, adapter[`${name}.lora_B`]));
  };
  const norm = (x, weight) => {
    const root = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps));
    return tf.mul(tf.mul(x, root), weight);
  };
  const split = (x) => tf.transpose(tf.reshape(x, [batch, tokens, heads, headDim]), [0, 2, 1, 3]);
  const rotate = (x) => {
    const [x1, x2] = tf.split(x, 2, -1);
    return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(x2), x1], -1), sin));
  };
  const attention = (x, at) => {
    const q = tf.mul(rotate(split(linear(x, `${at}.q_proj`))), 1 / Math.sqrt(headDim));
    const k = rotate(split(linear(x, `${at}.k_proj`)));
    const v = split(linear(x, `${at}.v_proj`));
    const weights = tf.softmax(tf.add(tf.matMul(q, k, false, true), mask));
    const mixed = tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]);
    return linear(tf.reshape(mixed, [batch * tokens, hidden]), `${at}.o_proj`);
  };
  const mlp = (x, at) => {
    const gate = linear(x, `${at}.gate_proj`);
    return linear(tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(x, `${at}.up_proj`)), `${at}.down_proj`);
  };
  const logits = (inputs) => {
    let x = tf.gather(w.embed_tokens, inputs);
    for (let i = 0; i < layers; i++) {
      x = tf.add(x, attention(norm(x, w[`${i}.input_layernorm`]), `${i}.self_attn`));
      x = tf.add(x, mlp(norm(x, w[`${i}.post_attention_layernorm`]), `${i}.mlp`));
    }
    return tf.matMul(norm(x, w.norm), w.embed_tokens, false, true);
  };

  const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  const step = async () => {
    const inputs = tf.tensor1d(ids, 'int32');
    const targets = tf.tensor1d(labels, 'int32');
    const lossOf = () => {
      const counts = tf.cast(tf.greaterEqual(targets, 0), 'float32');
      return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, vocab), logits(inputs), counts);
    };
    const loss = optimizer.minimize(lossOf, true, Object.values(adapter));
    const [value] = await loss.data();
    tf.dispose([inputs, targets, loss]);
    return value;
  };
  return {
    async run(times) {
      for (let i = 0; i < times; i++) await step();
      await done();
    },
    async values() {
      const losses = [];
      while (losses.length < task.steps) losses.push(await step());
      return losses;
    },
    release() {
      optimizer.dispose();
      tf.dispose([w, adapter, cos, sin, mask]);
    },
  };
}

serve({ product, loraStep });
