import { Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, newModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';
import { interleave } from './measure.ts';
import type { Row } from './report.ts';

interface Size {
  readonly name: string;
  readonly hidden: number;
  readonly layers: number;
  readonly batch: number;
  readonly tokens: number;
}

const sizes: readonly Size[] = [
  { name: 'tiny-llama, 8 x 128 tokens', hidden: 192, layers: 3, batch: 8, tokens: 128 },
  { name: 'width 256, 2 layers, 4 x 128 tokens', hidden: 256, layers: 2, batch: 4, tokens: 128 },
];

/** A whole LoRA step (rank 8 on every linear layer: forward, backward, clipping, AdamW) of small Llama models. */
export async function benchLoraStep(gpu: Gpu, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, hidden, layers, batch, tokens } of sizes) {
    const runtime = new Runtime(gpu);
    const json = {
      model_type: 'llama',
      vocab_size: 2048,
      hidden_size: hidden,
      intermediate_size: Math.round((hidden * 8) / 3 / 16) * 16,
      num_hidden_layers: layers,
      num_attention_heads: hidden / 32,
      num_key_value_heads: hidden / 64,
      tie_word_embeddings: true,
    };
    const { model } = newModel(json, { architectures: [llama], seed: 1 });
    const peft = new PeftModel(model, { runtime, tuners: [lora] });
    await peft.addAdapter('default', loraConfig({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }));
    const ids = Int32Array.from({ length: batch * tokens }, (_, i) => (i * 7919) % 2048);
    const inputIds = new Variable([batch, tokens], ids, { dtype: 'i32' });
    const labels = new Variable([batch, tokens], ids.slice(), { dtype: 'i32' });
    const loss = mul(
      tokenLossSum(model.forward({ inputIds }, new Context({ training: true })), labels),
      1 / (batch * (tokens - 1)),
    );
    const parameters = peft.trainableParameters();
    const optimizer = new AdamW(parameters);
    optimizer.beginStep(1e-4);
    const { updates, gradNorm } = optimizer.update(gradients(loss, [...parameters.values()]), {
      clipNorm: 1,
    });
    const program = await runtime.compile({ outputs: [loss, gradNorm], updates });
    const start = performance.now();
    await program.run();
    const firstStep = performance.now() - start;
    const timing = (await interleave([{ name, run: () => program.run() }], rounds)).get(name)!;
    const { dispatches, kernels, flops, arenaBytes, variableBytes } = program.explain();
    rows.push({
      group: 'lora-step',
      name,
      milliseconds: timing.median,
      rounds: timing.rounds,
      tokensPerSecond: (batch * tokens * 1000) / timing.median,
      gflops: flops / timing.median / 1e6,
      firstStepMilliseconds: firstStep,
      dispatches,
      kernels,
      peakMegabytes: (arenaBytes + variableBytes) / 1e6,
    });
  }
  return rows;
}
