import type { Folder, JsonObject, MemoryFiles } from '@graftjs/checkpoint';
import {
  type AdapterHubForm,
  type AdapterHubModel,
  ConfigError,
  readAdapterHub,
  withoutOwnKeys,
  writeAdapterHub,
} from '@graftjs/peft';
import { union } from './presets.ts';

/** AdapterHub's word for a method by ours; bottleneck adapters have none. */
const types: Readonly<Record<string, string>> = {
  prefix_tuning: 'GATED_PREFIX_TUNING',
  lora: 'GATED_LORA',
};

const form: AdapterHubForm = {
  floatKeys: union.floatKeys ?? [],
  configFrom: (inner) => {
    if (inner.architecture !== 'union' || !Array.isArray(inner.configs))
      throw new ConfigError(
        'architecture',
        inner.architecture,
        "is not 'union'; use the method's own package",
      );
    const configs = (inner.configs as JsonObject[]).map((config) => ({
      ...config,
      peft_type: types[String(config.architecture)] ?? 'BOTTLENECK',
    }));
    const { config } = union.parseConfig({ configs });
    return union.configToJson({ ...config, taskType: 'CAUSAL_LM' });
  },
  configTo: (own) => {
    const { configs } = union.configToJson(union.parseConfig(own).config);
    return { inner: { architecture: 'union', configs: (configs as JsonObject[]).map(withoutOwnKeys) } };
  },
  holders: [
    ['.attention_adapters.adapters.', '.attention_adapters.'],
    ['.output_adapters.adapters.', '.output_adapters.'],
    ['.shared_parameters.', '.shared_parameters.'],
    ['.invertible_adapters.', '.invertible_adapters.'],
    ['.loras.', '.loras.'],
    ['.prefix_tunings.', '.prefix_tunings.'],
    ['.prefix_gates.', '.prefix_gates.'],
  ],
};

/**
 * A union that AdapterHub wrote, as a folder that `PeftModel.loadAdapter` takes. AdapterHub itself writes prefixes as
 * pickles alone, since they have a name in every layer; as safetensors they are read under the first layer's.
 * @throws those of `readAdapterHub`
 */
export const fromAdapterHub = (folder: Folder): Promise<Folder> => readAdapterHub(folder, form);

/** The files of AdapterHub's `load_adapter(folder, use_safetensors=True)`, from what `PeftModel.saveAdapter` wrote. */
export const toAdapterHub = (folder: Folder, model: AdapterHubModel): Promise<MemoryFiles> =>
  writeAdapterHub(folder, model, form);
