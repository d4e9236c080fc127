import type { LoraExtension } from '@graftjs/lora';
import { Embedding, Linear, type Module } from '@graftjs/nn';
import { ConfigError } from '@graftjs/peft';
import { TokenRows } from './token-rows.ts';

/** `trainable_token_indices` of LoRA: `loraWith(tokenRows)`. */
export const tokenRows: LoraExtension = {
  knows: ['trainableTokenIndices'],
  beside: (model, { trainableTokenIndices }, { random }) =>
    Object.entries(trainableTokenIndices ? byModule(model, trainableTokenIndices) : {}).map(
      ([name, indices]) => {
        const found = [...model.namedModules()].find(([path]) => path === name || path.endsWith(`.${name}`));
        if (!(found && (found[1] instanceof Embedding || found[1] instanceof Linear)))
          throw new ConfigError(
            'trainable_token_indices',
            name,
            'must be an embedding or a head of the model',
          );
        const [path, module] = found;
        const rows = new TokenRows(model, module, {
          path,
          indices,
          fromTable: true,
          random,
          key: 'trainable_token_indices',
        });
        return {
          trained: { path, name: 'token_adapter.trainable_tokens_delta', parameter: rows.delta },
          initialValues: () => rows.initialValues(),
          attach: (key) => rows.attach(key),
          detach: (key) => rows.detach(key),
          check: (runtime, adapterName) => rows.check(runtime, adapterName),
          merge: (runtime) => rows.merge(runtime),
          unmerge: (runtime) => rows.unmerge(runtime),
        };
      },
    ),
};

function byModule(
  model: Module,
  given: readonly number[] | Readonly<Record<string, readonly number[]>>,
): Readonly<Record<string, readonly number[]>> {
  if (!Array.isArray(given)) return given as Readonly<Record<string, readonly number[]>>;
  const { inputEmbeddings } = model as { inputEmbeddings?: unknown };
  const path = [...model.namedModules()].find(([, module]) => module === inputEmbeddings)?.[0];
  if (path === undefined)
    throw new ConfigError(
      'trainable_token_indices',
      given,
      'needs the name of the embeddings: the model names none',
    );
  return { [path]: given };
}
