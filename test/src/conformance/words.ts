/** Recorded command lines: their words, and how ours differ from them. */

/** The words of a recorded command line: shell quoting undone. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  const pieces = /\\\n|\s+|'([^']*)'|\\(.)|([^\s'\\]+)/gs;
  let word: string | undefined;
  for (const [piece, quoted, escaped, plain] of text.matchAll(pieces)) {
    const part = quoted ?? escaped ?? plain;
    if (part !== undefined) word = (word ?? '') + part;
    else if (piece !== '\\\n' && word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  return word === undefined ? words : [...words, word];
}

/** Undefined when equal, otherwise the first word that differs and the one before it. */
export function differenceInWords(expected: readonly string[], actual: readonly string[]): string | undefined {
  const at = expected.findIndex((word, index) => word !== actual[index]);
  if (at < 0) return actual.length === expected.length ? undefined : `not expected: «${actual[expected.length]}»`;
  return `${expected[at - 1] ?? ''} expected «${expected[at]}», got «${actual[at] ?? 'the end'}»`;
}
