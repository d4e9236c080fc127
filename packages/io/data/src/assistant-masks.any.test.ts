import { describe, expect, it } from 'vitest';
import fixture from '../test/fixtures/chat-masks.json' with { type: 'json' };
import { tinyLlama, withTokens } from '../test/tokenizers.ts';
import { ChatTemplateError } from './errors.ts';
import { ignoreLabel } from './example.ts';
import { tokenizeRecords } from './tokenize-examples.ts';

const markers = /\{%-?\s*(end)?generation\s*-?%\}/g;
/** `-` of a removed marker still strips the white space around it. */
const unmarked = (template: string): string =>
  template.replace(markers, (tag, end) => tag.replace(/(end)?generation/, end ? 'endif' : 'if true'));

const only = { addSpecialTokens: false };

describe.each(fixture.cases)(
  '$name, against transformers',
  ({ template, messages, text, prompt, ids, mask }) => {
    const marked = withTokens(fixture.tokens, template);
    const plain = withTokens(fixture.tokens, unmarked(template));

    it('renders the same text', () => {
      expect(marked.applyChatTemplate(messages)).toBe(text);
      expect(plain.applyChatTemplate(messages)).toBe(text);
      expect(marked.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(prompt);
    });

    it.each([
      ['generation marks', marked],
      ['rendered prefixes', plain],
    ])('learns the same tokens by %s', (_, tokenizer) => {
      const { examples } = tokenizeRecords([{ messages }], tokenizer);
      expect([...examples[0]!.ids]).toEqual(ids);
      expect([...examples[0]!.labels]).toEqual(ids.map((id, i) => (mask[i] === 1 ? id : ignoreLabel)));
    });
  },
);

describe('conversations', () => {
  const chatml = fixture.cases[0]!.template;
  const tokenizer = withTokens(fixture.tokens, unmarked(chatml), {
    eos_token: '<|im_end|>',
    pad_token: '<|im_end|>',
  });
  const turn = (role: string, content: string, more = {}) => ({ role, content, ...more });

  it('learns the end token where it is also the padding token', () => {
    const messages = [turn('user', 'Hi'), turn('assistant', 'Ho')];
    const { examples, report } = tokenizeRecords([{ messages }], tokenizer);
    const learnt = [...examples[0]!.labels].filter((label) => label !== ignoreLabel);
    expect(tokenizer.decode(learnt)).toBe('Ho<|im_end|>');
    expect(tokenizer.padId).toBe(tokenizer.eosId);
    expect(report.endInEos).toBe(1);
  });

  it.each([
    ['rendered prefixes', unmarked(chatml)],
    ['generation marks', chatml],
  ])('keeps turns of weight 0 as context, by %s', (_, template) => {
    const messages = [
      turn('user', 'a'),
      turn('assistant', 'first', { weight: 0 }),
      turn('user', 'b'),
      turn('assistant', 'second', { weight: 1 }),
    ];
    const chosen = withTokens(fixture.tokens, template);
    const { examples } = tokenizeRecords([{ messages }], chosen);
    expect(chosen.decode([...examples[0]!.labels].filter((label) => label !== ignoreLabel))).toBe(
      'second<|im_end|>',
    );
  });

  it('does not double the BOS that a template writes', () => {
    const template = '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}';
    const { examples } = tokenizeRecords(
      [{ messages: [turn('user', 'x'), turn('assistant', 'y')] }],
      tinyLlama(template),
    );
    expect([...examples[0]!.ids].filter((id) => id === 0)).toHaveLength(1);
  });

  it('names the row a template refuses', () => {
    const template =
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}x";
    const records = [
      { messages: [turn('user', 'a'), turn('assistant', 'b')] },
      { messages: [turn('system', 'a'), turn('assistant', 'b')] },
    ];
    const tokenize = () =>
      tokenizeRecords(records, tinyLlama(template), { file: 'chat.jsonl', rows: [10, 20] });
    expect(tokenize).toThrow(ChatTemplateError);
    expect(tokenize).toThrow(/^chat\.jsonl, row 20: .*no system role/);
  });

  it('refuses a template that rewrites earlier turns, and says what to do', () => {
    const forgetful =
      "{% for m in messages %}[{{ m.role }}]{% if m.role != 'assistant' or loop.last %}{{ m.content }}{% endif %}{% endfor %}";
    const messages = [turn('user', 'a'), turn('assistant', 'b'), turn('user', 'c'), turn('assistant', 'd')];
    const tokenize = () => tokenizeRecords([{ messages }], tinyLlama(forgetful));
    expect(tokenize).toThrow(ChatTemplateError);
    expect(tokenize).toThrow(/messages\[1\] differently.*\{% generation %\}/);
  });

  it('learns the whole answer where the generation prompt opens a block that the answer lacks', () => {
    const thinking =
      '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]<think>{% endif %}';
    const messages = [turn('user', 'a'), turn('assistant', '<b> is bold')];
    const chosen = tinyLlama(thinking);
    const { examples } = tokenizeRecords([{ messages }], chosen);
    const text = chosen.decode([...examples[0]!.labels].filter((label) => label !== ignoreLabel));
    expect(text).toContain('<b> is bold');
    expect(text).not.toContain('[assistant');
  });

  it('leaves out conversations without an assistant', () => {
    const records = [
      { messages: [turn('user', 'a')] },
      { messages: [turn('user', 'a'), turn('assistant', 'b')] },
    ];
    const { report } = tokenizeRecords(records, tokenizer);
    expect(report).toMatchObject({ examples: 1, droppedUnsupervised: 1, droppedRows: [1] });
  });

  it('hands tools to the template', () => {
    const template = '{{ tools[0].name }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}';
    const messages = [turn('user', 'a'), turn('assistant', 'b')];
    const chosen = tinyLlama(template);
    const { examples } = tokenizeRecords([{ messages, tools: [{ name: 'clock' }] }], chosen);
    expect(chosen.decode(examples[0]!.ids)).toBe(
      chosen.decode(chosen.encode('clock[user]a[assistant]b', only)),
    );
  });
});
