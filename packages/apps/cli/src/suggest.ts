/** Edits (insert, delete, replace, swap of neighbours) from one word to the other: optimal string alignment. */
export function editDistance(a: string, b: string): number {
  let twoAgo: number[] = [];
  let before = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = before[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(before[j]! + 1, row[j - 1]! + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, twoAgo[j - 2]! + 1);
    }
    twoAgo = before;
    before = row;
  }
  return before[b.length]!;
}

const plain = (word: string): string => word.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The candidate that was probably meant: within a third of its letters, compared without case and dashes. */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const letters = plain(candidate);
    const distance = editDistance(plain(word), letters);
    if (distance > Math.max(1, Math.floor(letters.length / 3))) continue;
    if (!best || distance < best.distance) best = { candidate, distance };
  }
  return best?.candidate;
}

export const didYouMean = (word: string, candidates: Iterable<string>): string => {
  const found = suggest(word, candidates);
  return found === undefined ? '' : `; did you mean ${found}?`;
};
