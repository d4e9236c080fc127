import { Linear, Parameter } from '@graftjs/nn';
import {
  type AttachedAdapter,
  BASE_PREFIX,
  commonFields,
  configToJson,
  field,
  findTargets,
  makeConfig,
  parseConfig,
  readParameters,
  type Tuner,
  writeParameters,
} from '@graftjs/peft';
import { mul } from '@graftjs/tensor';

const schema = { ...commonFields, targetModules: field.names('target_modules') };
const withType = (config: ReturnType<typeof makeConfig<typeof schema>>) => ({
  ...config,
  peftType: 'OUTPUT_SCALE',
});
type Config = ReturnType<typeof withType>;

export const outputScaleConfig = (options: Partial<Config>): Config => withType(makeConfig(schema, options));

/** y = s * (x Wᵀ + b), with s `[out]` trained from 1: one number for each output of each target. */
export const outputScale: Tuner<Config> = {
  peftType: 'OUTPUT_SCALE',
  parseConfig: (json) => ({
    ...parseConfig(schema, json),
    config: withType(parseConfig(schema, json).config),
  }),
  configToJson: (config) => configToJson(schema, config),
  attach(model, config, { adapterName }): AttachedAdapter<Config> {
    const supports = (module: object): boolean => module instanceof Linear;
    const found = findTargets(model, config, { supports, kind: 'it scales linear layers' });
    const layers = [...found.modules].map(([path, module]) => ({ path, layer: module as Linear }));
    const site = `output scale ${adapterName}`;
    let active = false;
    const scales = layers.map(({ path, layer }) => {
      const scale = new Parameter([layer.outFeatures], new Float32Array(layer.outFeatures).fill(1));
      layer.output.attach(site, (y) => (active ? mul(y, scale) : y));
      return [`${BASE_PREFIX}${path}.output_scale`, scale] as const;
    });
    return {
      config,
      targets: [...found.modules.keys()],
      warnings: found.warnings,
      namedParameters: () => scales,
      toStateDict: (runtime) => readParameters(runtime, scales),
      fromStateDict: (state) => writeParameters(adapterName, new Map(scales), state),
      setActive: (on) => {
        active = on;
      },
      detach: () => layers.forEach(({ layer }) => void layer.output.detach(site)),
    };
  },
};
