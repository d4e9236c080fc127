import { ADAPTER_CONFIG, readJsonObject } from '@graftjs/checkpoint';
import type { Module } from '@graftjs/nn';
import type { Method, OtherForm } from '@graftjs/peft';
import { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
import { bottleneck } from './bottleneck.ts';
import { bottleneckSchema, compacterConfig, doubleSeqBnConfig, parBnConfig, seqBnConfig } from './config.ts';

const adapterHub: OtherForm = {
  folder: 'adapterhub',
  read: async (folder) => {
    const { config, peft_type } = await readJsonObject(folder, ADAPTER_CONFIG);
    const isBottleneck = typeof config === 'object' && config !== null && !('architecture' in config);
    return peft_type === undefined && isBottleneck ? fromAdapterHub(folder) : undefined;
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

const shared = { tuner: bottleneck, schema: bottleneckSchema, otherForm: adapterHub, learningRate: 3e-3 };

export const methods: readonly Method[] = [
  {
    ...shared,
    name: 'bottleneck',
    about: 'A small network after the feed-forward network of every block',
    paper: 'Pfeiffer et al., 2020, arXiv:2005.00247',
    config: seqBnConfig,
  },
  {
    ...shared,
    name: 'houlsby',
    about: 'Small networks after the attention and the feed-forward network of every block',
    paper: 'Houlsby et al., 2019, arXiv:1902.00751',
    config: doubleSeqBnConfig,
  },
  {
    ...shared,
    name: 'parallel-adapter',
    about: 'A small network beside the feed-forward network of every block',
    paper: 'He et al., 2021, arXiv:2110.04366',
    config: parBnConfig,
  },
  {
    ...shared,
    name: 'compacter',
    about: 'Houlsby adapters whose matrices are sums of Kronecker products',
    paper: 'Karimi Mahabadi et al., 2021, arXiv:2106.04647',
    config: compacterConfig,
    fit: ({ model }, { phmDim }) => ({ reductionFactor: wholeParts(model, Number(phmDim ?? 4)) }),
  },
];

/** A reduction factor of about 32 whose bottleneck has whole parts for the Kronecker products. */
function wholeParts(model: Module, parts: number): number {
  const { hiddenSize = 0 } = (model as { config?: { hiddenSize?: number } }).config ?? {};
  const units = Math.floor(hiddenSize / 32 / parts) * parts;
  return hiddenSize / Math.max(parts, units) || 32;
}
