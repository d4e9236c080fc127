import { commonBlockSize, type Method } from '@graftjs/peft';
import { vbLora, vbLoraConfig, vbLoraSchema } from './vb-lora.ts';

export const methods: readonly Method[] = [
  {
    name: 'vb-lora',
    about: 'Composes low-rank matrices from one bank of vectors',
    paper: 'Li et al., 2024, arXiv:2405.15179',
    tuner: vbLora,
    schema: vbLoraSchema,
    config: vbLoraConfig,
    fit: ({ model }) => ({ vectorLength: commonBlockSize(model, 256) }),
    learningRate: 0.005,
  },
];
