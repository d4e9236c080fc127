/**
 * Regular expressions of Python's `re`, as adapter configs hold them, in JavaScript. The common syntax is the same;
 * what is spelt differently is translated, what JavaScript lacks is refused.
 */
import { PatternError } from './errors.ts';

/** A pattern that matches whole strings, as `re.fullmatch`. @throws PatternError */
export const fullMatch = (pattern: string): RegExp => compile(pattern, (source) => `^(?:${source})$`);

/** A pattern that matches at the end of a dotted name, after a dot or from its start: `(.*\.)?(pattern)$`. */
export const suffixMatch = (pattern: string): RegExp =>
  compile(pattern, (source) => `^(?:.*\\.)?(?:${source})$`);

/** A pattern that matches at whole parts of a dotted name: `(^|.*\.)pattern($|\..*)`. */
export const partMatch = (pattern: string): RegExp =>
  compile(pattern, (source) => `^(?:|.*\\.)${source}(?:$|\\..*)`);

function compile(pattern: string, wrap: (source: string) => string): RegExp {
  const { source, flags } = translate(pattern);
  try {
    return new RegExp(wrap(source), flags);
  } catch (error) {
    throw new PatternError(pattern, error instanceof Error ? error.message : String(error));
  }
}

/** Python spelling, JavaScript spelling; tried in order at each place outside of escapes and sets. */
const spellings: readonly (readonly [RegExp, (match: RegExpExecArray, pattern: string) => string])[] = [
  [/\(\?P<(\w+)>/y, ([, name]) => `(?<${name}>`],
  [/\(\?P=(\w+)\)/y, ([, name]) => `\\k<${name}>`],
  [/\(\?#[^)]*\)/y, () => ''],
  [/\{,(\d+)\}/y, ([, most]) => `{0,${most}}`],
  [
    /\(\?\(|\(\?>|\(\?[aiLmsux-]+[:)]|[*+?}]\+/y,
    ([found], pattern) => {
      throw new PatternError(pattern, `${found} has no counterpart in JavaScript; write it without`);
    },
  ],
];

function translate(pattern: string): { source: string; flags: string } {
  const inline = /^\(\?([is]+)\)/.exec(pattern);
  const flags = inline ? [...new Set(inline[1])].join('') : '';
  let at = inline ? inline[0].length : 0;
  let source = '';
  while (at < pattern.length) {
    const char = pattern[at]!;
    if (char === '\\') {
      source += translateEscape(pattern, at);
      at += 2;
    } else if (char === '[') {
      const set = readSet(pattern, at);
      source += set.source;
      at = set.end;
    } else {
      let length = 1;
      let text = char;
      for (const [spelling, rewrite] of spellings) {
        spelling.lastIndex = at;
        const found = spelling.exec(pattern);
        if (!found) continue;
        text = rewrite(found, pattern);
        length = found[0].length;
        break;
      }
      source += text;
      at += length;
    }
  }
  return { source, flags };
}

function translateEscape(pattern: string, at: number): string {
  const next = pattern[at + 1];
  if (next === undefined) throw new PatternError(pattern, 'it ends in a backslash');
  if (next === 'A') return '^';
  if (next === 'Z') return '$';
  if (next === 'a' || next === 'N' || next === 'U')
    throw new PatternError(pattern, `\\${next} has no counterpart in JavaScript; write it without`);
  return `\\${next}`;
}

/** A set from its bracket on. In Python a closing bracket that comes first is one of its characters. */
function readSet(pattern: string, start: number): { source: string; end: number } {
  let at = start + 1;
  let source = '[';
  if (pattern[at] === '^') source += pattern[at++];
  if (pattern[at] === ']') {
    source += '\\]';
    at++;
  }
  while (at < pattern.length && pattern[at] !== ']') {
    const length = pattern[at] === '\\' ? 2 : 1;
    source += pattern.slice(at, at + length);
    at += length;
  }
  if (at >= pattern.length) throw new PatternError(pattern, 'a set is not closed by ]');
  return { source: `${source}]`, end: at + 1 };
}
