import type { Tokenizer } from '@graftjs/data';
import type { BaseFiles } from '../run/base-files.ts';
import { openTokenizer } from '../run/tokenizer.ts';
import { attempt, number } from './findings.ts';

/** A token that the tokenizer has a use of its own for. */
interface SpecialToken {
  readonly id: number;
  readonly token: string;
}

export interface TokenizerSummary {
  readonly vocabSize: number;
  readonly bos: SpecialToken | null;
  readonly eos: SpecialToken | null;
  readonly pad: SpecialToken | null;
  /** Null where there is none. */
  readonly chatTemplate: {
    /** Whether `{% generation %}` marks say what the assistant says. */
    readonly marksAssistant: boolean;
    /** What it makes of a user's "Hello" before the assistant speaks; null where it fails. */
    readonly example: string | null;
  } | null;
}

/** Reads a model's tokenizer and tries its template; what fails is a problem. */
export async function inspectTokenizer(
  files: BaseFiles,
  modelVocabSize: number | undefined,
  problems: string[],
): Promise<TokenizerSummary | null> {
  const options = modelVocabSize === undefined ? {} : { modelVocabSize };
  const tokenizer = await attempt(problems, () => openTokenizer(files, options));
  if (!tokenizer) return null;
  const special = (id: number | undefined): SpecialToken | null =>
    id === undefined ? null : { id, token: tokenizer.idToToken(id) ?? '' };
  return {
    vocabSize: tokenizer.vocabSize,
    bos: special(tokenizer.bosId),
    eos: special(tokenizer.eosId),
    pad: special(tokenizer.padId),
    chatTemplate: tokenizer.hasChatTemplate ? await templateOf(tokenizer, problems) : null,
  };
}

async function templateOf(
  tokenizer: Tokenizer,
  problems: string[],
): Promise<NonNullable<TokenizerSummary['chatTemplate']>> {
  const hello = { role: 'user', content: 'Hello' };
  const example = await attempt(problems, () =>
    tokenizer.applyChatTemplate([hello], { addGenerationPrompt: true }),
  );
  const marked = await attempt([], () =>
    tokenizer.applyMarkedChatTemplate([hello, { role: 'assistant', content: 'Hello' }]),
  );
  return { marksAssistant: marked !== undefined, example: example ?? null };
}

export function tokenizerLines(tokenizer: TokenizerSummary | null): string[] {
  if (!tokenizer) return ['tokenizer: none that can be used'];
  const { vocabSize, bos, eos, pad, chatTemplate } = tokenizer;
  const named = ({ id, token }: SpecialToken): string => `${JSON.stringify(token)} (${id})`;
  const tokens = Object.entries({ BOS: bos, EOS: eos, padding: pad }).map(
    ([name, token]) => `${name} ${token ? named(token) : 'none'}`,
  );
  const template = chatTemplate
    ? `${chatTemplate.marksAssistant ? 'marks what the assistant says' : 'without marks of what the assistant says'}; "Hello" becomes ${JSON.stringify(chatTemplate.example)}`
    : 'none: messages need one (chatml, or a file)';
  return [`tokenizer: ${number(vocabSize)} tokens; ${tokens.join(', ')}`, `chat template: ${template}`];
}
