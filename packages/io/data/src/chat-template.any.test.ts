import { describe, expect, it } from 'vitest';
import { compileChatTemplate } from './chat-template.ts';
import { ChatTemplateError } from './errors.ts';

const user = [{ role: 'user', content: 'Hi' }] as const;

describe('compileChatTemplate', () => {
  it('renders with special tokens and further variables', () => {
    const template = compileChatTemplate(
      '{{ bos_token }}{{ tools | join }}{{ messages[0].content }}{{ add_generation_prompt }}',
      {
        bos_token: '<s>',
      },
    );
    expect(template.render(user, { variables: { tools: ['t'] } })).toBe('<s>tHifalse');
    expect(template.render(user, { addGenerationPrompt: true, variables: { tools: [] } })).toBe('<s>Hitrue');
  });

  it("passes on the template's own words when it refuses", () => {
    const template = compileChatTemplate("{{ raise_exception('System role not supported') }}");
    expect(() => template.render(user)).toThrow(ChatTemplateError);
    expect(() => template.render(user)).toThrow(/System role not supported/);
  });

  it('refuses what does not parse and what is too long', () => {
    expect(() => compileChatTemplate('{% for %}')).toThrow(/does not parse/);
    expect(() => compileChatTemplate('x'.repeat(11), {}, { templateCharacters: 10 })).toThrow(/limit of 10/);
  });

  it('stops a loop at its deadline', () => {
    const loop = '{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}';
    const start = performance.now();
    expect(() => compileChatTemplate(loop, {}, { milliseconds: 50 }).render(user)).toThrow(/exceeded 50 ms/);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('stops a string that doubles, and a range without bound', () => {
    const doubling =
      "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
    expect(() => compileChatTemplate(doubling).render(user)).toThrow(/more than 16777216 characters/);
    expect(() => compileChatTemplate('{{ range(1000000000) }}').render(user)).toThrow(/range of more than/);
    expect(() => compileChatTemplate('{{ range(0, 1, 0) }}').render(user)).toThrow(/range of more than/);
  });

  it('keeps the date of a rendering fixed, so that data tokenize the same tomorrow', () => {
    expect(compileChatTemplate("{{ strftime_now('%d %b %Y') }}").render(user)).toBe('26 Jul 2024');
  });

  it('does not reach prototypes', () => {
    const template = compileChatTemplate("{{ messages.constructor }}{{ messages[0]['__proto__'] }}");
    expect(template.render(user)).toBe('');
  });

  it.each([
    ['tags alone', 'A {% generation %}B{% endgeneration %} C', 'A B C'],
    ['stripping tags', 'A {%- generation -%} B {%- endgeneration -%} C', 'ABC'],
    ['tags on lines', 'A\n  {% generation %}\nB\n  {% endgeneration %}\nC', 'A\nB\nC'],
  ])('finds generated text between %s', (_, source, text) => {
    const template = compileChatTemplate(source);
    expect(template.marksGeneration).toBe(true);
    const marked = template.renderMarked(user);
    expect(marked.text).toBe(text);
    expect(marked.text).toBe(template.render(user));
    expect(marked.generated.map(([start, end]) => marked.text.slice(start, end).trim())).toEqual(['B']);
  });
});
