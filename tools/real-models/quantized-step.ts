/**
 * LoRA steps of SmolLM2-135M-Instruct out of its GGUF file with the weights kept in its blocks, or in another form, on
 * tokens that count up: bytes, and seconds a step.
 *
 *     npx tsx --conditions=@graftjs/source tools/real-models/quantized-step.ts FILE.gguf [--weights stored] [--steps 2]
 */
import { parseArgs } from 'node:util';
import { openGguf } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { ggufModel, llama, modelFrom, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';

const storages = ['stored', 'f32', 'f16', 'nf4', 'int8'] as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    weights: { type: 'string', default: 'stored' },
    steps: { type: 'string', default: '2' },
    batch: { type: 'string', default: '2' },
    length: { type: 'string', default: '128' },
  },
});
const storage = storages.find((name) => name === values.weights);
const [path] = positionals;
if (path === undefined || storage === undefined)
  throw new Error(`give a GGUF file, and --weights as one of ${storages.join(', ')}`);

const seconds = (since: number): number => Math.round(performance.now() - since) / 1000;
const gpu = await openGpu();
const runtime = new Runtime(gpu);
const opened = performance.now();
const { config, weights } = await ggufModel(await openGguf(await nodeFile(path)));
const { model } = await modelFrom(config, weights, { architectures: [llama], runtime, weights: storage });
await gpu.idle();
const elements = model.parameters().reduce((n, p) => n + p.size, 0);
const bytes = model.parameters().reduce((n, p) => n + p.byteLength, 0);
console.log(
  JSON.stringify({
    event: 'loaded',
    storage,
    seconds: seconds(opened),
    elements,
    bytes,
    perElement: bytes / elements,
  }),
);

const peft = new PeftModel(model, { runtime, tuners: [lora] });
await peft.addAdapter('default', loraConfig({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }));
const trained = peft.trainableParameters();
const shape = [Number(values.batch), Number(values.length)];
const ids = Int32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => 1 + ((i * 37) % 1000));
const inputIds = new Variable(shape, ids.slice());
const labels = new Variable(shape, ids.slice());
const context = new Context({ training: true });
const count = shape[0]! * (shape[1]! - 1);
const loss = mul(tokenLossSum(model.forward({ inputIds }, context), labels), 1 / count);
const optimizer = new AdamW(trained);
const { updates } = optimizer.update(gradients(loss, [...trained.values()]));
const program = await runtime.compile({ outputs: [loss], updates });
const { arenaBytes, variableBytes, flops } = program.explain();
console.log(JSON.stringify({ event: 'planned', arenaBytes, variableBytes, flops }));
for (let step = 0; step < Number(values.steps); step++) {
  const begun = performance.now();
  optimizer.beginStep(1e-3);
  const [got] = await program.run();
  console.log(JSON.stringify({ event: 'step', seconds: seconds(begun), loss: got![0] }));
}
console.log(JSON.stringify({ event: 'end', peakBytes: gpu.stats().peakBytes }));
gpu.close();
