import type { Method } from '@graftjs/peft';
import { type LlamaAdapterOptions, llamaAdapterConfig, llamaAdapterSchema } from './config.ts';
import { llamaAdapter } from './llama-adapter.ts';

export const methods: readonly Method[] = [
  {
    name: 'llama-adapter',
    about: 'Gated attention to a learnt prompt in the upper layers',
    paper: 'Zhang et al., 2023, arXiv:2303.16199',
    tuner: llamaAdapter,
    schema: llamaAdapterSchema,
    config: (options) => llamaAdapterConfig(options as unknown as LlamaAdapterOptions),
    defaults: { adapterLen: 10 },
    // all layers but the lowest two, as the paper's 30 of 32
    fit: ({ model }) => {
      const { layers } = (model as { config?: { layers?: number } }).config ?? {};
      return { adapterLayers: Math.max(1, (layers ?? 1) - 2) };
    },
    learningRate: 3e-2,
  },
];
