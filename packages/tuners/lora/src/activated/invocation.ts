/** Where texts invoke an adapter: the last place where its invocation tokens stand. */
import { type Context, Embedding, type Module } from '@graftjs/nn';
import { ConfigError } from '@graftjs/peft';
import {
  and,
  broadcastTo,
  cast,
  equal,
  fill,
  iota,
  less,
  max,
  narrow,
  not,
  type Tensor,
  where,
} from '@graftjs/tensor';

/** The ids of a pass, which its layers do not see. */
const idsOf = new WeakMap<Context, Tensor>();

/**
 * The embeddings of a decoder, which know the ids of a pass.
 * @throws ConfigError where the model has none, or an encoder of its own
 */
export function textEmbeddings(model: Module, tokens: readonly number[]): Embedding {
  const { inputEmbeddings, encode } = model as { inputEmbeddings?: unknown; encode?: unknown };
  if (inputEmbeddings instanceof Embedding && encode === undefined) return inputEmbeddings;
  throw new ConfigError(
    'alora_invocation_tokens',
    tokens,
    'is for decoders with token ids, and the model is none',
  );
}

/** Beside what else an adapter attaches to the embeddings. */
const siteOf = (key: string): string => `ids of ${key}`;

/** From now on, passes tell their ids to {@link isInvoked}. */
export const tellIds = (embeddings: Embedding, key: string): void =>
  embeddings.output.attach(siteOf(key), (output, { ids, context }) => {
    idsOf.set(context, ids);
    return output;
  });

export const forgetIds = (embeddings: Embedding, key: string): boolean =>
  embeddings.output.detach(siteOf(key));

/** Which tokens of a pass have an adapter: those at or after its last invocation, bool `[b, t]`. */
export function isInvoked(context: Context, invocation: readonly number[]): Tensor {
  const ids = idsOf.get(context);
  if (!ids) throw new ConfigError('alora_invocation_tokens', invocation, 'the pass has no token ids');
  const [b, t] = ids.shape as [number, number];
  const start = lastInvocation(context.prompt ?? ids, invocation);
  const isThere = not(less(start, 0));
  if (context.continues && context.prompt) return broadcastTo(isThere, [b, t]);
  return and(isThere, not(less(iota([b, t], 1), start)));
}

/** Where the last of the invocations begins in each text, -1 without one: i32 `[b, n]` -> i32 `[b, 1]`. */
function lastInvocation(text: Tensor, invocation: readonly number[]): Tensor {
  const [b, n] = text.shape as [number, number];
  const starts = n - invocation.length + 1;
  if (starts < 1) return fill(-1, [b, 1], 'i32');
  const isThere = invocation.map((token, i) => equal(narrow(text, 1, i, starts), token)).reduce(and);
  const at = where(isThere, iota([b, starts], 1, 'f32'), -1);
  return cast(max(at, [1], { keepDims: true }), 'i32');
}
