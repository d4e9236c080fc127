/**
 * Layer-norm tuning (Zhao et al., 2023, arXiv:2312.11420): copies of the weights of layer norms, and of their biases, are
 * trained and stand in for them.
 *
 *     y = norm(x) ∘ w' + b',   w' and b' [dim], which start as the norm's own
 */
import type { Runtime } from '@graftjs/compiler';
import { LayerNorm, type Module, Parameter, RmsNorm } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  BASE_PREFIX,
  type ConfigOf,
  configToJson,
  findTargets,
  MergeError,
  makeConfig,
  parseConfig,
  place,
  readParameters,
  type StateReport,
  type Tuner,
  targetFields,
  writeParameters,
} from '@graftjs/peft';
import { cast, type Tensor } from '@graftjs/tensor';
import { normTargets } from './norm-targets.ts';

/** Every key of PEFT's `LNTuningConfig` with its default. */
export const lnTuningSchema = { ...targetFields } as const;

export type LnTuningConfig = ConfigOf<typeof lnTuningSchema> & { readonly peftType: 'LN_TUNING' };

const peftType = 'LN_TUNING';

/** A config of layer-norm tuning: PEFT's defaults and what the options say. @throws ConfigError */
export const lnTuningConfig = (options: Partial<ConfigOf<typeof lnTuningSchema>> = {}): LnTuningConfig => ({
  ...makeConfig(lnTuningSchema, options),
  peftType,
});

/** Layer-norm tuning: give it to a `PeftModel` among its tuners. */
export const lnTuning: Tuner<LnTuningConfig> = {
  peftType,
  parseConfig: (json) => {
    const { config, unknownKeys } = parseConfig(lnTuningSchema, json);
    return { config: { ...config, peftType }, unknownKeys };
  },
  configToJson: (config) => configToJson(lnTuningSchema, config),
  attach,
};

type Norm = LayerNorm | RmsNorm;
type Field = 'weight' | 'bias';

const isNorm = (module: Module): module is Norm => module instanceof LayerNorm || module instanceof RmsNorm;

/** A norm with the copies of its weights, f32. */
interface TunedNorm {
  readonly path: string;
  readonly norm: Norm;
  readonly copies: readonly (readonly [Field, Parameter])[];
}

async function attach(model: Module, config: LnTuningConfig, context: AttachContext): Promise<LnAdapter> {
  const found = findTargets(model, config, {
    supports: isNorm,
    isLinear: () => false,
    kind: 'layer-norm tuning trains layer norms',
    modelType: context.modelType,
    defaults: normTargets,
  });
  const norms = [...found.modules].map(([path, module]): TunedNorm => {
    const norm = module as Norm;
    const copies = fieldsOf(norm).map(([field, { shape }]) => {
      const name = `${path}.ln_tuning_layers.${field}`;
      return [field, new Parameter(shape, undefined, { name, trainable: false })] as const;
    });
    return { path, norm, copies };
  });
  if (!context.loading) {
    const updates = norms.flatMap(({ norm, copies }) =>
      copies.map(([field, copy]): [Parameter, Tensor] => [copy, cast(own(norm, field), 'f32')]),
    );
    await (await context.runtime.compile({ updates })).run();
  }
  const resolved = { ...config, targetModules: found.targetModules };
  return new LnAdapter(norms, resolved, context.adapterName, found.warnings);
}

const own = (norm: Norm, field: Field): Parameter => (norm as Partial<Record<Field, Parameter>>)[field]!;

const fieldsOf = (norm: Norm): [Field, Parameter][] =>
  (['weight', 'bias'] as const).flatMap((field) => (own(norm, field) ? [[field, own(norm, field)]] : []));

class LnAdapter implements AttachedAdapter<LnTuningConfig> {
  readonly config: LnTuningConfig;
  readonly warnings: readonly string[];
  readonly #norms: readonly TunedNorm[];
  readonly #name: string;
  readonly #key: string;
  /** The norms' own parameters while others are merged. */
  #before: [Norm, Field, Parameter][] = [];

  constructor(
    norms: readonly TunedNorm[],
    config: LnTuningConfig,
    adapterName: string,
    warnings: readonly string[],
  ) {
    this.#norms = norms;
    this.config = config;
    this.warnings = warnings;
    this.#name = adapterName;
    this.#key = `${peftType} ${adapterName}`;
  }

  get targets(): readonly string[] {
    return this.#norms.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const { path, copies } of this.#norms)
      for (const [field, copy] of copies)
        yield [`${BASE_PREFIX}${path}.ln_tuning_layers.${this.#name}.${field}`, copy];
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    for (const { norm, copies } of this.#norms) {
      norm.output.detach(this.#key);
      if (!active) continue;
      const of = new Map(copies);
      norm.output.attach(this.#key, (_, { input }) => {
        const [weight, bias] = [of.get('weight')!, of.get('bias')].map((w) => w && cast(w, input.dtype));
        return norm.normalize(input, { weight: weight!, ...(bias ? { bias } : {}) });
      });
    }
  }

  async merge(runtime: Runtime, { safe }: { readonly safe: boolean }): Promise<void> {
    if (safe)
      for (const [name, copy] of this.namedParameters())
        if (!(await runtime.read(copy)).every(Number.isFinite))
          throw new MergeError(this.#name, `${name} is not finite everywhere; check the adapter's values`);
    const changes = this.#norms.flatMap(({ norm, copies }) =>
      copies.map(([field, copy]) => {
        const { shape, dtype, name } = own(norm, field);
        return {
          norm,
          field,
          copy,
          after: new Parameter(shape, undefined, { dtype, name, trainable: false }),
        };
      }),
    );
    const updates = changes.map(({ copy, after }): [Parameter, Tensor] => [after, cast(copy, after.dtype)]);
    await (await runtime.compile({ updates })).run();
    this.#before = changes.map(({ norm, field }) => [norm, field, own(norm, field)]);
    for (const { norm, field, after } of changes) place({ module: norm, field }, after);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    for (const [norm, field, before] of this.#before) {
      runtime.release(own(norm, field));
      place({ module: norm, field }, before);
    }
    this.#before = [];
  }

  detach(): void {
    this.setActive(false);
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const { path, copies } of this.#norms)
      for (const [field, copy] of copies) yield [`${BASE_PREFIX}${path}.ln_tuning_layers.${field}`, copy];
  }
}
