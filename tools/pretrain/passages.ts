/** Titles and initials after which a full stop does not end a sentence. */
const abbreviation =
  /(?:^|[\s("'])(?:Mr|Mrs|Ms|Dr|Messrs|Hon|Gen|Col|Capt|Lt|Maj|Sen|Rep|Gov|St|No|Nos|Jr|Sr|vs|viz|[A-Z])\.$/;

/** Sentences of a running text, each without the white space around it. */
export const sentences = (text: string): string[] => {
  const found: string[] = [];
  let start = 0;
  for (const match of text.matchAll(/[.?!]["')\]]*\s+(?=["'(]?[A-Z0-9$])/g)) {
    const end = match.index + match[0].length;
    const sentence = text.slice(start, end).trim();
    if (abbreviation.test(sentence)) continue;
    found.push(sentence);
    start = end;
  }
  const rest = text.slice(start).trim();
  return rest === '' ? found : [...found, rest];
};

/**
 * Joins neighbouring pieces with spaces until a passage has at least `target` characters; a rest shorter than
 * half of that goes to the passage before.
 */
export const passages = (pieces: readonly string[], target: number): string[] => {
  const made: string[] = [];
  let passage = '';
  for (const piece of pieces) {
    passage = passage === '' ? piece : `${passage} ${piece}`;
    if (passage.length < target) continue;
    made.push(passage);
    passage = '';
  }
  if (passage === '') return made;
  if (passage.length >= target / 2 || made.length === 0) return [...made, passage];
  return [...made.slice(0, -1), `${made.at(-1)} ${passage}`];
};
