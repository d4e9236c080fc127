import type { Folder, MemoryFiles } from '@graftjs/checkpoint';
import {
  type AdapterHubForm,
  type AdapterHubModel,
  readAdapterHub,
  withoutOwnKeys,
  writeAdapterHub,
} from '@graftjs/peft';
import { bottleneckConfigToJson, bottleneckFloatKeys, parseBottleneckConfig } from './config.ts';
import { adapterFusionConfigToJson, fusionFloatKeys, parseAdapterFusionConfig } from './fusion-config.ts';

const places = ['attention_adapters', 'output_adapters'] as const;

const adapterForm: AdapterHubForm = {
  floatKeys: bottleneckFloatKeys,
  configFrom: (inner) =>
    bottleneckConfigToJson({ ...parseBottleneckConfig(inner).config, taskType: 'CAUSAL_LM' }),
  configTo: (own) => ({ inner: withoutOwnKeys(bottleneckConfigToJson(parseBottleneckConfig(own).config)) }),
  holders: [
    ...places.map((place) => [`.${place}.adapters.`, `.${place}.`] as const),
    ['.shared_parameters.', '.shared_parameters.'],
    ['.invertible_adapters.', '.invertible_adapters.'],
  ],
};

const fusionForm: AdapterHubForm = {
  files: {
    config: 'adapter_fusion_config.json',
    weights: 'model_adapter_fusion.safetensors',
    pickle: 'pytorch_model_adapter_fusion.bin',
  },
  floatKeys: fusionFloatKeys,
  configFrom: (inner, { adapter_names, name }) => {
    const names = Array.isArray(adapter_names) ? adapter_names : String(name).split(',');
    const { config } = parseAdapterFusionConfig({ ...inner, adapter_names: names });
    return adapterFusionConfigToJson({ ...config, taskType: 'CAUSAL_LM' });
  },
  configTo: (own) => {
    const { adapter_names, ...inner } = withoutOwnKeys(
      adapterFusionConfigToJson(parseAdapterFusionConfig(own).config),
    );
    return { inner, outer: { adapter_names: adapter_names! } };
  },
  holders: [['.adapter_fusion_layer.', '.adapter_fusion_layer.']],
};

/**
 * An adapter that AdapterHub's `save_adapter(folder, name, use_safetensors=True)` wrote, as a folder that
 * `PeftModel.loadAdapter` takes. Heads beside it are left alone.
 * @throws FileMissingError, PickleRefusedError (only `pytorch_adapter.bin` is there), JsonFileError, ConfigError,
 *   UnsupportedConfigError, and those of `openSafetensors`
 */
export const fromAdapterHub = (folder: Folder): Promise<Folder> => readAdapterHub(folder, adapterForm);

/** The files of AdapterHub's `load_adapter(folder, use_safetensors=True)`, from what `PeftModel.saveAdapter` wrote. */
export const toAdapterHub = (folder: Folder, model: AdapterHubModel): Promise<MemoryFiles> =>
  writeAdapterHub(folder, model, adapterForm);

/** As {@link fromAdapterHub}, of what `save_adapter_fusion` wrote. The adapters have the names that they have there. */
export const fusionFromAdapterHub = (folder: Folder): Promise<Folder> => readAdapterHub(folder, fusionForm);

/** As {@link toAdapterHub}, for `load_adapter_fusion`; AdapterHub's own name of a fusion is its adapters, by commas. */
export const fusionToAdapterHub = (folder: Folder, model: AdapterHubModel): Promise<MemoryFiles> =>
  writeAdapterHub(folder, model, fusionForm);
