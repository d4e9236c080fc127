import type { Message } from './chat-template.ts';
import { commonPrefix, type Segment } from './encode-segments.ts';
import { ChatTemplateError } from './errors.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A rendered conversation cut where the assistant's words begin and end. */
export interface RenderedConversation {
  readonly segments: readonly Segment[];
  /** Whether `{% generation %}` marks in the template made the cuts. */
  readonly marked: boolean;
}

/**
 * Renders a conversation and finds the assistant's turns in its text: by the template's `{% generation %}`
 * marks, else by rendering its beginnings. Turn `i` is what `messages[0..i]` adds to `messages[0..i)` with the
 * generation prompt, so that the header of a turn is context and its words and end token are learnt. Turns
 * with `weight: 0` are context.
 *
 * @throws ChatTemplateError where the template refuses, or rewrites earlier turns so that diffing cannot work.
 */
export const renderConversation = (
  messages: readonly Message[],
  tokenizer: Tokenizer,
  variables: Readonly<Record<string, unknown>> = {},
): RenderedConversation => {
  const turns = [...messages.keys()].filter((i) => messages[i]!.role === 'assistant');
  const learnt = (turn: number): boolean => messages[turn]!.weight !== 0;

  const marked = tokenizer.applyMarkedChatTemplate(messages, { variables });
  if (marked) {
    const spans = marked.generated.filter(
      (_, i) => marked.generated.length !== turns.length || learnt(turns[i]!),
    );
    return { segments: cut(marked.text, spans), marked: true };
  }

  const whole = tokenizer.applyChatTemplate(messages, { variables });
  const spans = turns.filter(learnt).map((turn) => locateTurn(messages, turn, whole, tokenizer, variables));
  return { segments: cut(whole, spans), marked: false };
};

const locateTurn = (
  messages: readonly Message[],
  turn: number,
  whole: string,
  tokenizer: Tokenizer,
  variables: Readonly<Record<string, unknown>>,
): readonly [number, number] => {
  const through = tokenizer.applyChatTemplate(messages.slice(0, turn + 1), { variables });
  if (!whole.startsWith(through)) throw notPrefixConsistent(turn, commonPrefix(whole, through));
  const prompt = beginning(messages.slice(0, turn), true, tokenizer, variables);
  if (through.startsWith(prompt)) return [prompt.length, through.length];
  // The generation prompt can open what this turn does not have, such as a thinking block: stop where they part,
  // and never inside the turn's own words.
  const bare = beginning(messages.slice(0, turn), false, tokenizer, variables);
  if (!through.startsWith(bare)) throw notPrefixConsistent(turn, commonPrefix(through, bare));
  const words = through.indexOf(messages[turn]!.content.trim(), bare.length);
  const shared = commonPrefix(through, prompt);
  return [words < 0 ? shared : Math.min(words, shared), through.length];
};

/** A template may need at least one message; before the first one there is nothing. */
const beginning = (
  messages: readonly Message[],
  addGenerationPrompt: boolean,
  tokenizer: Tokenizer,
  variables: Readonly<Record<string, unknown>>,
): string => {
  try {
    return tokenizer.applyChatTemplate(messages, { addGenerationPrompt, variables });
  } catch (error) {
    if (messages.length === 0 && error instanceof ChatTemplateError) return '';
    throw error;
  }
};

const notPrefixConsistent = (turn: number, at: number): ChatTemplateError =>
  new ChatTemplateError(
    `the chat template writes the beginning of the conversation up to messages[${turn}] differently (from ` +
      `character ${at}) when more turns follow, so the assistant's words cannot be located: put ` +
      '{% generation %} … {% endgeneration %} around them in the template, or use prompt and completion',
  );

const cut = (text: string, spans: readonly (readonly [number, number])[]): Segment[] => {
  const segments: Segment[] = [];
  let at = 0;
  for (const [start, end] of spans) {
    if (start > at) segments.push({ text: text.slice(at, start), supervised: false });
    if (end > start) segments.push({ text: text.slice(start, end), supervised: true });
    at = end;
  }
  if (at < text.length) segments.push({ text: text.slice(at), supervised: false });
  return segments;
};
