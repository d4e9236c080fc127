import { ADAPTER_CONFIG, readJsonObject } from '@graftjs/checkpoint';
import type { Method, OtherForm } from '@graftjs/peft';
import { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
import { diReftConfig, loReftConfig, noReftConfig, reftSchema } from './config.ts';
import { reft } from './reft.ts';

const adapterHub: OtherForm = {
  folder: 'adapterhub',
  read: async (folder) => {
    const { config, peft_type } = await readJsonObject(folder, ADAPTER_CONFIG);
    const { architecture } = (config ?? {}) as { architecture?: unknown };
    return peft_type === undefined && architecture === 'reft' ? fromAdapterHub(folder) : undefined;
  },
  write: (folder, { name, config }) =>
    toAdapterHub(folder, {
      name: 'default',
      hiddenSize: Number(config.hidden_size ?? config.n_embd),
      modelClass: String([config.architectures ?? ''].flat()[0]),
      modelName: name,
      modelType: String(config.model_type),
    }),
};

const shared = {
  tuner: reft,
  schema: reftSchema,
  otherForm: adapterHub,
  paper: 'Wu et al., 2024, arXiv:2404.03592',
  learningRate: 4e-3,
};

export const methods: readonly Method[] = [
  {
    ...shared,
    name: 'loreft',
    about: 'Changes hidden states of the first tokens in a subspace with an orthonormal basis',
    config: loReftConfig,
  },
  {
    ...shared,
    name: 'noreft',
    about: 'LoReFT without orthonormality',
    config: noReftConfig,
  },
  {
    ...shared,
    name: 'direft',
    about: 'Adds a change of low rank to hidden states of the first tokens',
    config: diReftConfig,
  },
];
