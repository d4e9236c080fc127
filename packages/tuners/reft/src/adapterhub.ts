import type { Folder, MemoryFiles } from '@graftjs/checkpoint';
import {
  type AdapterHubForm,
  type AdapterHubModel,
  readAdapterHub,
  withoutOwnKeys,
  writeAdapterHub,
} from '@graftjs/peft';
import { parseReftConfig, reftConfigToJson, reftFloatKeys } from './config.ts';

const form: AdapterHubForm = {
  floatKeys: reftFloatKeys,
  configFrom: (inner) => reftConfigToJson({ ...parseReftConfig(inner).config, taskType: 'CAUSAL_LM' }),
  configTo: (own) => {
    const { subtract_projection, ...inner } = withoutOwnKeys(reftConfigToJson(parseReftConfig(own).config));
    // AdapterHub leaves it out, and takes it for true then.
    return { inner: subtract_projection === false ? { ...inner, subtract_projection } : inner };
  },
  holders: [['.reft_layer.refts.', '.reft_layer.']],
};

/**
 * A ReFT adapter that AdapterHub's `save_adapter(folder, name, use_safetensors=True)` wrote, as a folder that
 * `PeftModel.loadAdapter` takes. A DiReFT adapter of AdapterHub 1.3 is read as NoReFT, there and here: its file does
 * not say which it is.
 * @throws those of `readAdapterHub`
 */
export const fromAdapterHub = (folder: Folder): Promise<Folder> => readAdapterHub(folder, form);

/** The files of AdapterHub's `load_adapter(folder, use_safetensors=True)`, from what `PeftModel.saveAdapter` wrote. */
export const toAdapterHub = (folder: Folder, model: AdapterHubModel): Promise<MemoryFiles> =>
  writeAdapterHub(folder, model, form);
