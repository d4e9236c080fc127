import { type Folder, JsonFileError } from '@graftjs/checkpoint';
import { cast, div, max, maximum, mul, reshape, sqrt, sum, type Tensor, where } from '@graftjs/tensor';
import { firstToken } from './encoder-with-head.ts';

/** How the states of a text's tokens become one vector. */
export interface SentencePooling {
  /** The mean or the maximum over the tokens, or the first token alone. */
  readonly pooling: 'mean' | 'max' | 'cls';
  /** Whether the vector is divided by its length. */
  readonly normalize: boolean;
}

/** What most models of sentence-transformers do. */
const usual: SentencePooling = { pooling: 'mean', normalize: true };

/**
 * Embeddings of texts as sentence-transformers computes them: states `[b, s, hidden]` -> `[b, hidden]`. Cosine similarity
 * of two is their dot product where they are normalised.
 * @param keyMask i32 `[b, s]`, 0 where a token is padding; left out: none is
 */
export function sentenceEmbedding(
  states: Tensor,
  keyMask?: Tensor,
  { pooling, normalize }: SentencePooling = usual,
): Tensor {
  const pooled = pool(states, keyMask, pooling);
  if (!normalize) return pooled;
  const length = maximum(sqrt(sum(mul(pooled, pooled), [1], { keepDims: true })), 1e-12);
  return div(pooled, length);
}

function pool(states: Tensor, keyMask: Tensor | undefined, pooling: SentencePooling['pooling']): Tensor {
  if (pooling === 'cls') return firstToken(states);
  const [b, s] = states.shape as [number, number];
  const mask = keyMask ? reshape(cast(keyMask, 'f32'), [b, s, 1]) : undefined;
  if (pooling === 'max')
    return max(mask ? where(reshape(cast(keyMask!, 'bool'), [b, s, 1]), states, -1e9) : states, [1]);
  if (!mask) return mul(sum(states, [1]), 1 / s);
  return div(sum(mul(states, mask), [1]), maximum(sum(mask, [1]), 1e-9));
}

interface ModuleEntry {
  readonly path?: unknown;
  readonly type?: unknown;
}

/**
 * What the folder of a sentence-transformers model says of pooling (`modules.json` and the config of its pooling).
 * @throws JsonFileError for modules beyond a transformer, one pooling and normalisation, and for other poolings
 */
export async function readSentencePooling(folder: Folder): Promise<SentencePooling> {
  const modules: unknown = JSON.parse(await folder.readText('modules.json'));
  const refuse = (file: string, problem: string): JsonFileError =>
    new JsonFileError(`${folder.location}/${file}`, problem);
  const kinds = (Array.isArray(modules) ? (modules as ModuleEntry[]) : []).map(({ path, type }) => ({
    path: String(path),
    kind: String(type).split('.').at(-1)!,
  }));
  const strange = kinds.find(({ kind }) => !['Transformer', 'Pooling', 'Normalize'].includes(kind));
  if (strange) throw refuse('modules.json', `${strange.kind} is not supported`);
  const poolings = kinds.filter(({ kind }) => kind === 'Pooling');
  if (poolings.length !== 1) throw refuse('modules.json', `it names ${poolings.length} poolings, not one`);
  const file = `${poolings[0]!.path}/config.json`;
  const config = JSON.parse(await folder.folder(poolings[0]!.path).readText('config.json')) as object;
  const modes = Object.entries(config).flatMap(([key, on]) =>
    key.startsWith('pooling_mode_') && on === true ? [key.slice('pooling_mode_'.length)] : [],
  );
  const pooling = ({ mean_tokens: 'mean', max_tokens: 'max', cls_token: 'cls' } as const)[modes[0]!];
  if (!pooling || modes.length !== 1)
    throw refuse(file, `pooling by ${modes.join(' and ') || 'nothing'} is not supported`);
  return { pooling, normalize: kinds.some(({ kind }) => kind === 'Normalize') };
}
