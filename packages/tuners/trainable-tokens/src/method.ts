import type { Method } from '@graftjs/peft';
import { trainableTokens, trainableTokensConfig, trainableTokensSchema } from './trainable-tokens.ts';

export const methods: readonly Method[] = [
  {
    name: 'trainable-tokens',
    about: 'Rows of the token embeddings',
    paper: 'Hugging Face PEFT, 2025',
    tuner: trainableTokens,
    schema: trainableTokensSchema,
    config: trainableTokensConfig,
    fit: ({ model }) => {
      const { eosTokenIds } = (model as { config?: { eosTokenIds?: readonly number[] } }).config ?? {};
      return { tokenIndices: eosTokenIds?.length ? eosTokenIds : [0] };
    },
    learningRate: 1e-3,
    keys: {
      tokenIndices: {
        about: 'Ids of the tokens whose rows are trained; by default those that end a text.',
      },
      targetModules: { about: "Embeddings or heads; by default the model's input embeddings." },
    },
  },
];
