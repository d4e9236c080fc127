import type { Folder, JsonObject } from '@graftjs/checkpoint';
import type { Program, Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { type CausalLM, type LoadedModel, newModel, saveModel, tokenLossSum } from '@graftjs/models';
import { Context, Parameter, type Recomputation, replaceWeight } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, mul, narrowToHalves, Variable } from '@graftjs/tensor';
import { architectures } from './models.ts';

/** A model and the batch that it is trained on. */
export interface StepSize {
  /** `config.json` */
  readonly json: JsonObject;
  readonly batch: number;
  readonly tokens: number;
  /** Default 8. */
  readonly rank?: number;
  /** Default `all-linear`. */
  readonly targetModules?: string | readonly string[];
  readonly recompute?: Recomputation;
}

/** A LoRA step as one program: forward, backward, AdamW without decay. */
export interface TrainingStep {
  readonly program: Program;
  readonly loaded: LoadedModel<CausalLM>;
  readonly peft: PeftModel<CausalLM>;
  /** Bytes of the base's and the adapter's weights. */
  readonly weightBytes: number;
  readonly ids: Int32Array;
  /** Sets the batch and runs once; resolves to the loss before the step. */
  step(): Promise<number>;
}

export interface StepOptions {
  /** Default: random weights of the size's config. */
  readonly loaded?: LoadedModel<CausalLM>;
  /** `false` leaves out the loss, so that a run reads nothing back. */
  readonly outputs?: boolean;
  /** Where an adapter is read from; default: a new one. */
  readonly adapter?: Folder;
  /** Default 1e-2. */
  readonly learningRate?: number;
}

export const loraAlpha = 16;
export const learningRate = 1e-2;

/** Tokens of a batch: every few in order, the same each time. */
export const tokenIds = (count: number, vocab: number): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length: count }, (_, i) => (i * 7919) % vocab);

/** Bytes that a kernel binds at once on llvmpipe. */
const mostBound = 2 ** 27;

/** A random model of a size: in f32, or its matrices in f16 where one is too large in f32 for a binding of llvmpipe. */
export function randomModel({ json }: Pick<StepSize, 'json'>): LoadedModel<CausalLM> {
  const loaded = newModel(json, { architectures, seed: 1 }) as LoadedModel<CausalLM>;
  const parameters = loaded.model.parameters();
  if (parameters.some(({ byteLength }) => byteLength > mostBound))
    for (const parameter of parameters.filter(({ rank }) => rank > 1)) {
      const values = narrowToHalves('f16', parameter.takePending() as Float32Array);
      const { name, shape } = parameter;
      replaceWeight(loaded.model, parameter, new Parameter(shape, values, { dtype: 'f16', name }));
    }
  return loaded;
}

export async function trainingStep(
  runtime: Runtime,
  size: StepSize,
  options: StepOptions = {},
): Promise<TrainingStep> {
  const { batch, tokens, rank = 8, targetModules = 'all-linear', recompute } = size;
  const { loaded = randomModel(size), outputs = true } = options;
  const { model } = loaded;
  const base = model.parameters();
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  if (options.adapter) await peft.loadAdapter(options.adapter, 'default', { trainable: true });
  else await peft.addAdapter('default', loraConfig({ r: rank, loraAlpha, targetModules }));
  const adapter = [...peft.trainableParameters()];
  const ids = tokenIds(batch * tokens, model.config.vocabSize);
  const inputIds = new Variable([batch, tokens], undefined, { dtype: 'i32' });
  const labels = new Variable([batch, tokens], undefined, { dtype: 'i32' });
  const context = new Context({ training: true, ...(recompute ? { recompute } : {}) });
  const lossSum = tokenLossSum(model.forward({ inputIds }, context), labels);
  const loss = mul(lossSum, 1 / (batch * (tokens - 1)));
  const optimizer = new AdamW(new Map(adapter), { weightDecay: 0 });
  const parameters = adapter.map(([, parameter]) => parameter);
  const { updates } = optimizer.update(gradients(loss, parameters));
  const program = await runtime.compile({ outputs: outputs ? [loss] : [], updates });
  return {
    program,
    loaded,
    peft,
    weightBytes: [...base, ...parameters].reduce((sum, { byteLength }) => sum + byteLength, 0),
    ids,
    async step() {
      optimizer.beginStep(options.learningRate ?? learningRate);
      inputIds.set(ids.slice());
      labels.set(ids.slice());
      const [value] = await program.run();
      return value?.[0] ?? Number.NaN;
    },
  };
}

/** Writes base and adapter as Hugging Face's folders: what `transformers` and `peft` load. */
export async function saveStep(
  runtime: Runtime,
  { loaded, peft }: TrainingStep,
  base: Folder,
  adapter: Folder,
): Promise<void> {
  await saveModel(runtime, base, loaded);
  await peft.saveAdapter(adapter);
}
