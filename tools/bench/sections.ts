const begin = (name: string): string => `<!-- figures: ${name} -->`;
const end = '<!-- end of figures -->';

/**
 * A document with some of its sections replaced. Sections stand between marks, one after another; new ones come in the
 * place that `order` gives them.
 * @throws Error where the document has no section at all, or a section without an end
 */
export function replaceSections(
  document: string,
  sections: ReadonlyMap<string, string>,
  order: readonly string[],
): string {
  const marks = /<!-- figures: ([\w-]+) -->\n([\s\S]*?)<!-- end of figures -->\n*/g;
  const found = [...document.matchAll(marks)];
  const opened = document.split('<!-- figures: ').length - 1;
  if (found.length === 0 || opened !== found.length)
    throw new Error(
      `the document needs '${begin('NAME')}' before each section of figures and '${end}' after it`,
    );
  const present = new Map(found.map(([, name, text]) => [name!, text!.trim()]));
  for (const [name, text] of sections) present.set(name, text);
  const start = found[0]!.index;
  const last = found.at(-1)!;
  const written = order
    .filter((name) => present.has(name))
    .map((name) => `${begin(name)}\n\n${present.get(name)}\n\n${end}\n\n`);
  return `${document.slice(0, start)}${written.join('')}${document.slice(last.index + last[0].length)}`;
}
