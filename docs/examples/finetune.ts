import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadTokenizer, readRecords, tokenizeExamples } from '@graftjs/data';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, loadModel, tokenLossSum } from '@graftjs/models';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { Trainer } from '@graftjs/trainer';
import { openGpu } from '@graftjs/webgpu';

const runtime = new Runtime(await openGpu());
const base = nodeFolder(tinyLlamaFolder);
const { model } = await loadModel(base, { architectures: [llama] });
const peft = new PeftModel(model, { runtime, tuners: [lora] });
await peft.addAdapter('default', loraConfig({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }));
const tokenizer = loadTokenizer({ tokenizerJson: JSON.parse(await base.readText('tokenizer.json')) });
const { records } = await readRecords(await base.readText('quickstart/train.jsonl'), { file: 'train.jsonl' });
const trainer = new Trainer({
  runtime,
  lossSum: ({ labels, ...inputs }, context) => tokenLossSum(model.forward(inputs, context), labels),
  parameters: peft.trainableParameters(),
  optimizer: new AdamW(peft.trainableParameters()),
  learningRate: cosineSchedule(3e-3, 20),
  examples: tokenizeExamples(records, tokenizer, { maxLength: 128 }),
  collate: { padToMultipleOf: 128 },
  batchSize: 4,
  totalSteps: 20,
  onEvent: (event) => event.event === 'step' && console.log(event.step, event.loss.toFixed(3)),
});
await trainer.train();
await peft.saveAdapter(nodeFolder('runs/my-adapter')); // PeftModel.from_pretrained(base, 'runs/my-adapter') loads it
runtime.gpu.close();
