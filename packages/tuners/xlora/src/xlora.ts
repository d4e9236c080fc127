/**
 * X-LoRA (Buehler and Buehler, 2024, arXiv:2402.07148): LoRA adapters are experts, and every token has its mixture of them
 * in every layer. A first pass of the base gives hidden states, a classifier makes scalings σ of them, and the pass that
 * counts has them:
 *
 *     y = x Wᵀ + b + g · Σᵢ sᵢ · (Bᵢ Aᵢ dropout(σᵢ x) + bias_Bᵢ)
 *
 * No gradient goes through the first pass.
 */
import { type Folder, readAdapter } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { type LoraAdapter, type LoraPart, lora } from '@graftjs/lora';
import type { CausalInputs, CausalLM } from '@graftjs/models';
import {
  type Context,
  type Linear,
  type LinearDetails,
  type Module,
  type Parameter,
  trainingDropout,
} from '@graftjs/nn';
import {
  type AdapterState,
  AdapterStateError,
  type AdapterTensor,
  type AttachContext,
  type AttachedAdapter,
  ConfigError,
  readParameters,
  type StateReport,
  type Tuner,
  UnsupportedConfigError,
  writeParameters,
} from '@graftjs/peft';
import { add, cast, detach, fill, linear, mul, narrow, reshape, type Tensor } from '@graftjs/tensor';
import { Classifier, chosen } from './classifier.ts';
import { parseXloraConfig, type XloraConfig, xloraConfigToJson, xloraFloatKeys } from './config.ts';

/** PEFT's names of the classifier's weights begin so. */
const prefix = 'base_model.internal_xlora_classifier.';

/** X-LoRA over the LoRA adapters in these folders: give it to a `PeftModel` among its tuners. */
export const xlora = (experts: readonly Folder[]): Tuner<XloraConfig> => ({
  peftType: 'XLORA',
  floatKeys: xloraFloatKeys,
  parseConfig: parseXloraConfig,
  configToJson: xloraConfigToJson,
  attach: (model, config, context) => attach(model, config, context, experts),
});

async function attach(
  model: Module,
  config: XloraConfig,
  context: AttachContext,
  folders: readonly Folder[],
): Promise<XloraAdapter> {
  if (!isDecoder(model))
    throw new UnsupportedConfigError('peft_type', 'XLORA', 'it is for decoders, and the model is none');
  if (folders.length === 0)
    throw new ConfigError('adapters', config.adapters, 'give xlora the folders of its experts');
  const named = Object.keys(config.adapters).length;
  if (named > 0 && named !== folders.length)
    throw new ConfigError(
      'adapters',
      config.adapters,
      `names ${named} experts, and xlora has ${folders.length}`,
    );
  const { topKLora } = config;
  if (topKLora !== null && topKLora > folders.length)
    throw new ConfigError('top_k_lora', topKLora, `there are ${folders.length} experts`);
  const hidden = config.hiddenSize ?? model.config.hiddenSize;
  if (hidden !== model.config.hiddenSize)
    throw new ConfigError('hidden_size', hidden, `the base has hidden states of ${model.config.hiddenSize}`);
  const experts: LoraAdapter[] = [];
  for (const [i, folder] of folders.entries()) experts.push(await expertOf(model, folder, i, context));
  const modules = [...model.namedModules()].filter(([path]) =>
    experts.some(({ targets }) => targets.includes(path)),
  ) as [string, Linear][];
  const head = modules.find(([, module]) => module === model.outputEmbeddings);
  if (head)
    throw new UnsupportedConfigError(
      'adapters',
      head[0],
      'an expert changes the head, which has no hidden state to be mixed by',
    );
  const size = { hidden, layers: modules.length, experts: experts.length };
  const adapters =
    named > 0 ? config.adapters : Object.fromEntries(folders.map(({ location }, i) => [String(i), location]));
  return new XloraAdapter({
    model,
    modules,
    experts,
    config: { ...config, adapters, hiddenSize: hidden },
    classifier: new Classifier(config, size, context.random),
    adapterName: context.adapterName,
  });
}

const isDecoder = (model: Module): model is Module & CausalLM =>
  'hiddenStates' in model && 'outputEmbeddings' in model && !('encode' in model);

/** An expert on the model, switched off, with its weights. */
async function expertOf(
  model: Module,
  folder: Folder,
  number: number,
  context: AttachContext,
): Promise<LoraAdapter> {
  const { config: json, tensors } = await readAdapter(folder);
  if (json.peft_type !== 'LORA')
    throw new UnsupportedConfigError('adapters', folder.location, 'experts of X-LoRA are LoRA adapters');
  const { config } = lora.parseConfig(json);
  const cannot = 'an expert of X-LoRA cannot have it';
  if (config.useDora) throw new UnsupportedConfigError('use_dora', config.useDora, cannot);
  if (config.bias !== 'none') throw new UnsupportedConfigError('bias', config.bias, cannot);
  if (config.modulesToSave?.length)
    throw new UnsupportedConfigError('modules_to_save', config.modulesToSave, cannot);
  const adapterName = `${context.adapterName}-${number}`;
  const expert = (await lora.attach(model, config, {
    ...context,
    adapterName,
    loading: true,
  })) as LoraAdapter;
  const state = new Map<string, AdapterTensor>();
  for (const [key, { shape }] of tensors.tensors)
    state.set(key, { shape, data: await tensors.readFloat32(key) });
  const report = expert.fromStateDict(state);
  if (report.missing.length || report.unexpected.length) throw new AdapterStateError(folder.location, report);
  return expert;
}

interface XloraParts {
  readonly model: Module & CausalLM;
  /** What any expert changes, in the model's order. */
  readonly modules: readonly (readonly [string, Linear])[];
  readonly experts: readonly LoraAdapter[];
  readonly config: XloraConfig;
  readonly classifier: Classifier;
  readonly adapterName: string;
}

/** X-LoRA on a model. */
export class XloraAdapter implements AttachedAdapter<XloraConfig> {
  readonly config: XloraConfig;
  readonly warnings: readonly string[];
  /** In order; what training made of them is saved apart from the classifier. */
  readonly experts: readonly LoraAdapter[];
  readonly #parts: XloraParts;
  readonly #site: string;
  /** Of the pass that is being built: `[b, t, layers, experts]`. */
  readonly #scalings = new WeakMap<Context, Tensor>();

  constructor(parts: XloraParts) {
    this.#parts = parts;
    this.config = parts.config;
    this.experts = parts.experts;
    this.#site = `xlora ${parts.adapterName}`;
    this.warnings = parts.config.useTrainableAdapters
      ? ['use_trainable_adapters: as in PEFT, the file holds the classifier alone']
      : [];
  }

  get targets(): readonly string[] {
    return this.#parts.modules.map(([path]) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#onDisk();
    if (this.config.useTrainableAdapters) for (const expert of this.experts) yield* expert.namedParameters();
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#parts.adapterName}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    const { model, modules } = this.#parts;
    Reflect.deleteProperty(model, 'hiddenStates');
    for (const [, module] of modules) module.output.detach(this.#site);
    if (!active) return;
    for (const [number, [path, module]] of modules.entries()) {
      const experts = this.experts.map(({ layers }) => layers.find((layer) => layer.path === path));
      module.output.attach(this.#site, (output, details) => this.#mix(output, details, number, experts));
    }
    const pass = model.hiddenStates;
    Reflect.set(model, 'hiddenStates', (inputs: CausalInputs, context: Context) =>
      this.#twice((given) => pass.call(model, given, context), inputs, context),
    );
  }

  detach(): void {
    this.setActive(false);
    for (const expert of this.experts) expert.detach();
  }

  /** The pass that the classifier reads, and the pass with what it says. */
  #twice(pass: (inputs: CausalInputs) => Tensor, inputs: CausalInputs, context: Context): Tensor {
    const { classifier, modules } = this.#parts;
    const { scalingPassValue } = this.config;
    const [b, t] = inputs.inputIds.shape as [number, number];
    this.#scalings.set(context, fill(scalingPassValue, [b, t, modules.length, this.experts.length]));
    const { cache } = inputs;
    const hidden = detach(pass({ ...inputs, ...(cache ? { cache: cache.beside() } : {}) }));
    this.#scalings.set(context, classifier.scalings(hidden, context));
    return pass(inputs);
  }

  /** @throws ConfigError where a layer's input is not that of the pass's tokens */
  #mix(
    output: Tensor,
    { input, context }: LinearDetails,
    number: number,
    experts: readonly (LoraPart | undefined)[],
  ): Tensor {
    const path = this.#parts.modules[number]![0];
    const all = this.#scalings.get(context);
    const [b, t, , n] = all?.shape ?? [];
    if (!all || input.rank !== 3 || input.shape[0] !== b || input.shape[1] !== t)
      throw new ConfigError('adapters', path, 'is reached outside of a pass over the text');
    const scalings = chosen(reshape(narrow(all, 2, number, 1), [b!, t!, n!]), this.config);
    let y = output;
    for (const [i, part] of experts.entries()) {
      if (!part) continue;
      const p = this.experts[i]!.config.loraDropout;
      const x = trainingDropout(cast(input, 'f32'), p, context, `${path}: lora_dropout`);
      const low = mul(linear(x, part.a), narrow(scalings, -1, i, 1)); // [b, t, r]
      const change = linear(low, part.b, part.bias);
      y = add(y, cast(mul(change, part.scaling * this.config.globalScalingWeight), y.dtype));
    }
    return y;
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const [name, parameter] of this.#parts.classifier.namedParameters())
      yield [prefix + name, parameter];
  }
}
