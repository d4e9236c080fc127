import type { Method } from '@graftjs/peft';
import { type PromptTuningOptions, promptTuningConfig, promptTuningSchema } from './config.ts';
import {
  type MultitaskPromptTuningOptions,
  multitaskPromptTuningConfig,
  multitaskPromptTuningSchema,
} from './multitask-config.ts';
import { multitaskPromptTuningWith } from './multitask-prompt-tuning.ts';
import { promptTuningWith } from './prompt-tuning.ts';

export const methods: readonly Method[] = [
  {
    name: 'prompt-tuning',
    about: 'Virtual tokens in front of the text',
    paper: 'Lester et al., 2021, arXiv:2104.08691',
    tuner: promptTuningWith,
    schema: promptTuningSchema,
    config: (options) => promptTuningConfig(options as unknown as PromptTuningOptions),
    defaults: { numVirtualTokens: 20, promptTuningInit: 'SAMPLE_VOCAB' },
    learningRate: 0.1,
    virtualTokens: true,
  },
  {
    name: 'multitask-prompt-tuning',
    about: 'Virtual tokens that tasks share and scale, each by a matrix of low rank',
    paper: 'Wang et al., 2023, arXiv:2303.02861',
    tuner: async ({ encode, readTensors }, { promptTuningInitStateDictPath: path }) =>
      multitaskPromptTuningWith({
        ...(encode ? { encode } : {}),
        ...(readTensors && typeof path === 'string' ? { source: await readTensors(path) } : {}),
      }),
    schema: multitaskPromptTuningSchema,
    config: (options) => multitaskPromptTuningConfig(options as unknown as MultitaskPromptTuningOptions),
    defaults: { numVirtualTokens: 20 },
    learningRate: 0.1,
    virtualTokens: true,
  },
];
