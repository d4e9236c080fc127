import './host.mjs';
import {
  Adam,
  getWebGPUInitError,
  initWebGPU,
  syncWebGPU,
  Torchlette,
  webgpuDeviceRequirements,
} from 'torchlette';
import { GPT2WithLoRA } from 'torchlette/gpt2-lora';
import { crossEntropy } from 'torchlette/nn';
import { serve } from './host.mjs';

// Its reductions take subgroups to be of 32: where the adapter's are not (llvmpipe's are of 8), sums are wrong, and it
// computes without subgroups.
const adapter = await navigator.gpu.requestAdapter();
const { subgroupMinSize, subgroupMaxSize } = adapter.info;
const { requiredFeatures, requiredLimits } = webgpuDeviceRequirements(adapter);
const device = await adapter.requestDevice({
  requiredFeatures: requiredFeatures.filter(
    (feature) => feature !== 'subgroups' || (subgroupMinSize === 32 && subgroupMaxSize === 32),
  ),
  requiredLimits,
});
if (!(await initWebGPU({ device }))) throw new Error(getWebGPUInitError());
const api = new Torchlette('webgpu', { enableFusion: true });

/** The step that Gpt2Task in tools/bench/lora-program.ts describes, as torchlette's own trainer takes it. */
async function gpt2Step(task) {
  const { json, scale, learningRate, batch, tokens, ids } = task;
  const [first] = Object.values(task.adapter);
  const rank = Math.min(...first.shape);
  const config = {
    vocabSize: json.vocab_size,
    blockSize: json.n_positions,
    numLayers: json.n_layer,
    numHeads: json.n_head,
    embedDim: json.n_embd,
    dropoutRate: 0,
  };
  const model = new GPT2WithLoRA(api, config, { rank, alpha: scale * rank }, 'webgpu');
  const copy = (to, { values, shape }) => {
    const runtime = api._runtime();
    runtime.copy_(to._unwrap(), api.tensorFromArray(values, shape)._unwrap());
  };
  model.loadBaseWeights(
    new Map(Object.entries(task.frozen).map(([name, { values, shape }]) => [name, { data: values, shape }])),
  );
  for (const [i, block] of model.h.entries())
    for (const [layer, name] of [
      [block.attn.cAttn, 'attn.c_attn'],
      [block.mlp.cFc, 'mlp.c_fc'],
    ]) {
      copy(layer.loraA, task.adapter[`h.${i}.${name}.lora_A`]);
      copy(layer.loraB, task.adapter[`h.${i}.${name}.lora_B`]);
    }
  await api.markStep();
  model.train(true);
  const optimizer = new Adam(model.getLoRAParameters(), { lr: learningRate }, api);
  // a text's last token foretells nothing: -100 is what its loss leaves out
  const next = Array.from(ids, (_, i) => (i % tokens === tokens - 1 ? -100 : ids[i + 1]));
  const step = async () => {
    await api.beginStep();
    const input = api.tensorFromArray(Array.from(ids), [batch, tokens], { device: 'webgpu' });
    const target = api.tensorFromArray(next, [batch, tokens], { device: 'webgpu' });
    const logits = model.forward(input).reshape([batch * tokens, config.vocabSize]);
    const loss = crossEntropy(api, logits, target.reshape([batch * tokens]), { ignoreIndex: -100 });
    const value = await loss.item();
    await loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    input.dispose();
    target.dispose();
    api.endStep();
    await api.markStep();
    return value;
  };
  return {
    async run(times) {
      for (let i = 0; i < times; i++) await step();
      await syncWebGPU();
    },
    async values() {
      const losses = [];
      while (losses.length < task.steps) losses.push(await step());
      return losses;
    },
    release() {},
  };
}

serve({ gpt2Step });
