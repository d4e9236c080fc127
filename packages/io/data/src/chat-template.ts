/**
 * Chat templates: a conversation to text, by the Jinja template that belongs to the model.
 *
 * Templates come from the internet. They are interpreted (never evaluated as JavaScript) and here they also
 * run under a budget: a deadline, a length limit for every string, and a bounded `range`.
 */
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { ChatTemplateError } from './errors.ts';

/** One turn of a conversation. */
export interface Message {
  readonly role: string;
  readonly content: string;
  /** `0` keeps an assistant's turn as context without learning it. Default `1`. */
  readonly weight?: number;
  /** Anything else (a name, tool calls) is handed to the template. */
  readonly [key: string]: unknown;
}

export interface RenderOptions {
  /** End with the header of an assistant's turn, for the model to continue. Default `false`. */
  readonly addGenerationPrompt?: boolean;
  /** More variables for the template, such as `tools`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplateLimits {
  /** Wall time of one rendering, in milliseconds. Default 1000. */
  readonly milliseconds?: number;
  /** Length of the text, and of every string on the way to it, in characters. Default 16 Mi. */
  readonly characters?: number;
  /** Length of the template itself, in characters. Default 1 Mi. */
  readonly templateCharacters?: number;
}

/** Text, and which half-open ranges `[start, end)` of it the template marks as the assistant's. */
export interface MarkedText {
  readonly text: string;
  readonly generated: readonly (readonly [start: number, end: number])[];
}

export interface ChatTemplate {
  /** Whether the template marks the assistant's words with `{% generation %}`. */
  readonly marksGeneration: boolean;
  /** @throws ChatTemplateError with the template's own words where it refuses the conversation. */
  render(messages: readonly Message[], options?: RenderOptions): string;
  /** Renders and reports what stands between `{% generation %}` and `{% endgeneration %}`. */
  renderMarked(messages: readonly Message[], options?: RenderOptions): MarkedText;
}

const generationTag = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
const startMark = '\u{F0000}\u{F1DD0}\u{F0000}';
const endMark = '\u{F0001}\u{F1DD0}\u{F0001}';

/** Compiles a chat template once. `specialTokens` become its variables `bos_token`, `eos_token`, ….
 * @throws ChatTemplateError where the template does not parse or is too long. */
export const compileChatTemplate = (
  source: string,
  specialTokens: Readonly<Record<string, string>> = {},
  limits: ChatTemplateLimits = {},
): ChatTemplate => {
  const maxSource = limits.templateCharacters ?? 2 ** 20;
  if (source.length > maxSource)
    throw new ChatTemplateError(
      `the chat template has ${source.length} characters, more than the limit of ${maxSource}`,
    );
  const plain = parseTemplate(source);
  const marksGeneration = new RegExp(generationTag).test(source);
  const marked = marksGeneration ? parseTemplate(withMarks(source)) : undefined;

  const render = (template: Template, messages: readonly Message[], options: RenderOptions): string =>
    run(
      template,
      {
        ...specialTokens,
        ...options.variables,
        messages,
        add_generation_prompt: options.addGenerationPrompt ?? false,
      },
      limits,
    );

  return {
    marksGeneration,
    render: (messages, options = {}) => render(plain, messages, options),
    renderMarked: (messages, options = {}) => {
      if (!marked) return { text: render(plain, messages, options), generated: [] };
      const serialized = JSON.stringify(messages);
      if (serialized.includes(startMark) || serialized.includes(endMark))
        throw new ChatTemplateError('a message holds the private-use characters that mark generated text');
      const result = splitMarks(render(marked, messages, options));
      if (result.text !== render(plain, messages, options))
        throw new ChatTemplateError(
          'the chat template changes its text inside {% generation %}: the learnt part cannot be located; ' +
            'move filters such as trim inside the tag or remove the tag',
        );
      return result;
    },
  };
};

const parseTemplate = (source: string): Template => {
  try {
    return new Template(source);
  } catch (cause) {
    throw new ChatTemplateError(
      `the chat template does not parse (${messageOf(cause)}): check the Jinja source`,
      {},
      { cause },
    );
  }
};

// A tag is replaced by tags, not by an expression, because Jinja strips white space around tags only.
const withMarks = (source: string): string =>
  source.replace(
    generationTag,
    (_, before: string, end: string | undefined, after: string) =>
      `{%${before} if true %}{{ '${end ? endMark : startMark}' }}{% endif ${after}%}`,
  );

const splitMarks = (rendered: string): MarkedText => {
  const generated: [number, number][] = [];
  let text = '';
  let start: number | undefined;
  let at = 0;
  for (;;) {
    const mark = start === undefined ? startMark : endMark;
    const next = rendered.indexOf(mark, at);
    if (next < 0) break;
    text += rendered.slice(at, next);
    if (start === undefined) start = text.length;
    else {
      generated.push([start, text.length]);
      start = undefined;
    }
    at = next + mark.length;
  }
  return { text: text + rendered.slice(at), generated };
};

class BudgetExceeded extends Error {}

/** The interpreter calls `evaluate` for every node, also inside loops: the one place where a budget can be kept. */
class BudgetedInterpreter extends Interpreter {
  readonly #deadline: number;
  readonly #milliseconds: number;
  readonly #characters: number;

  constructor(environment: Environment, limits: ChatTemplateLimits) {
    super(environment);
    this.#milliseconds = limits.milliseconds ?? 1000;
    this.#characters = limits.characters ?? 2 ** 24;
    this.#deadline = performance.now() + this.#milliseconds;
  }

  override evaluate(...[statement, environment]: Parameters<Interpreter['evaluate']>) {
    // Every time: a step can be a loop over thousands of items, so skipping steps would overshoot by seconds.
    if (performance.now() > this.#deadline) throw new BudgetExceeded(`exceeded ${this.#milliseconds} ms`);
    const value = super.evaluate(statement, environment);
    if (typeof value.value === 'string' && value.value.length > this.#characters)
      throw new BudgetExceeded(`made more than ${this.#characters} characters`);
    return value;
  }
}

const run = (template: Template, variables: Record<string, unknown>, limits: ChatTemplateLimits): string => {
  const environment = new Environment();
  for (const [name, value] of Object.entries(builtins)) environment.set(name, value);
  try {
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    return String(new BudgetedInterpreter(environment, limits).run(template.parsed).value);
  } catch (cause) {
    if (cause instanceof BudgetExceeded)
      throw new ChatTemplateError(`the chat template ${cause.message}: it loops without end or is too heavy`);
    throw new ChatTemplateError(
      `the chat template refused the conversation: ${messageOf(cause)}`,
      {},
      { cause },
    );
  }
};

const maxRange = 10_000;

const builtins = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range: (start: number, stop?: number, step = 1): number[] => {
    const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
    const length = Math.max(0, Math.ceil((to - from) / step));
    if (!(length <= maxRange)) throw new BudgetExceeded(`asked for a range of more than ${maxRange} numbers`);
    return Array.from({ length }, (_, i) => from + i * step);
  },
  // A template that prints today's date would make the same data tokenize differently tomorrow;
  // Llama 3's own fallback date keeps training reproducible.
  strftime_now: (format: string): string => fixedDate(format),
} as const;

const fixedDate = (format: string): string =>
  format.replace(
    /%[YmdbBHM%]/g,
    (token) =>
      ({
        '%Y': '2024',
        '%m': '07',
        '%d': '26',
        '%b': 'Jul',
        '%B': 'July',
        '%H': '00',
        '%M': '00',
        '%%': '%',
      })[token] ?? token,
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
