/**
 * BitFit, bias-term fine-tuning (Ben-Zaken et al., 2021, arXiv:2106.10199): of `y = W x + b`, and of layer norms, b is
 * trained and nothing else.
 *
 * Hugging Face PEFT has no such type. The file form is this package's own: `adapter_config.json` with `peft_type`
 * `BITFIT`, and `adapter_model.safetensors` with every trained bias, `base_model.<path>.bias`.
 */
import { type Module, Parameter } from '@graftjs/nn';
import {
  type AttachedAdapter,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  findTargets,
  MergeError,
  makeConfig,
  parameterPlaces,
  parseConfig,
  TargetError,
  type Tuner,
} from '@graftjs/peft';

/** Every key of the config. */
export const bitfitSchema = {
  ...commonFields,
  /** Modules whose biases are trained, by names or a regular expression; null: all of the model's. */
  targetModules: field.names('target_modules'),
  excludeModules: field.names('exclude_modules'),
  /** Modules that are trained whole beside the biases, such as a new head. */
  modulesToSave: field.nameList('modules_to_save'),
} as const;

export type BitfitConfig = ConfigOf<typeof bitfitSchema> & {
  readonly peftType: 'BITFIT';
  /** What the core trains copies of: the biases of this adapter's targets. */
  readonly bias: 'bitfit_only';
};

const withType = (values: ConfigOf<typeof bitfitSchema>): BitfitConfig => ({
  ...values,
  peftType: 'BITFIT',
  bias: 'bitfit_only',
});

/** A config of BitFit: the defaults and what the options say. @throws ConfigError */
export const bitfitConfig = (options: Partial<ConfigOf<typeof bitfitSchema>> = {}): BitfitConfig =>
  withType(makeConfig(bitfitSchema, options));

/** BitFit: give it to a `PeftModel` among its tuners. */
export const bitfit: Tuner<BitfitConfig> = {
  peftType: 'BITFIT',
  parseConfig: (json) => {
    const { config, unknownKeys } = parseConfig(bitfitSchema, json);
    return { config: withType(config), unknownKeys };
  },
  configToJson: (config) => configToJson(bitfitSchema, config),
  attach: (model, config, { adapterName }): AttachedAdapter<BitfitConfig> => {
    const { modules, warnings } = withBiases(model, config);
    return {
      config,
      targets: [...modules.keys()],
      warnings,
      wrapsBase: false,
      namedParameters: () => [],
      toStateDict: async () => new Map(),
      fromStateDict: (state) => ({ missing: [], unexpected: [...state.keys()] }),
      // the core puts the trained copies into the model, and leaves them there when it merges
      setActive: () => {},
      merge: async (runtime, { safe }) => {
        if (!safe) return;
        for (const [path, module] of modules)
          if (!(await runtime.read(biasOf(module)!)).every(Number.isFinite))
            throw new MergeError(
              adapterName,
              `the bias of ${path} is not finite everywhere; check the adapter's values`,
            );
      },
      unmerge: async () => {},
      detach: () => {},
    };
  },
};

const biasOf = (module: object): Parameter | undefined => {
  const bias = (module as { readonly bias?: unknown }).bias;
  return bias instanceof Parameter ? bias : undefined;
};

/** The modules of a config that have biases. @throws TargetError */
function withBiases(
  model: Module,
  config: BitfitConfig,
): { readonly modules: ReadonlyMap<string, Module>; readonly warnings: readonly string[] } {
  const biased = [...parameterPlaces(model)].filter((found) => found.field === 'bias');
  if (biased.length === 0)
    throw new TargetError('BitFit trains biases, and the model has none', {
      asked: config.targetModules,
      available: [],
    });
  const all = biased.map(({ modulePath }) => modulePath);
  return findTargets(
    model,
    { ...config, targetModules: config.targetModules ?? all },
    { supports: (module) => biasOf(module) !== undefined, kind: 'BitFit trains biases, and it has none' },
  );
}
