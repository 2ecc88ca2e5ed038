/** Words of a POSIX shell: split as a shell would, and quoted so that it reads them back. */
import { VirtError } from '@virtbus/shared';

/** What ends a word without quotes and is not a blank: the shell would do more than run one program. */
const operators = new Set([';', '|', '&', '<', '>', '(', ')', '`']);

/**
 * The words of one command. Comments and line continuations are passed over.
 * Throws CONFIG_UNSUPPORTED for quotes that do not end and for what only a shell could work out.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  const end = (): void => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  const add = (more: string): void => void (word = (word ?? '') + more);
  while (at < text.length) {
    const char = text[at++]!;
    if (/\s/.test(char)) end();
    else if (char === '#' && word === undefined) at = endOfLine(text, at);
    else if (char === '\\') {
      const next = text[at++] ?? '';
      if (next === '\r' && text[at] === '\n') at++;
      else if (next !== '\n') add(next);
    } else if (char === "'") {
      const close = text.indexOf("'", at);
      if (close < 0) refuse("a quote (') that does not end");
      add(text.slice(at, close));
      at = close + 1;
    } else if (char === '"') {
      const [inside, after] = inDoubleQuotes(text, at);
      add(inside);
      at = after;
    } else if (char === '&' && text.slice(at).trim() === '') break;
    else if (operators.has(char)) refuse(`'${char}'; give one command, and quote what belongs to it`);
    else if (char === '$')
      refuse(`'${/^\$\S*/.exec(text.slice(at - 1))![0]}', which only a shell can replace; write it out`);
    else add(char);
  }
  end();
  return words;
}

function inDoubleQuotes(text: string, from: number): [inside: string, after: number] {
  let inside = '';
  for (let at = from; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') return [inside, at + 1];
    if (char === '\\' && /["\\$`\n]/.test(text[at + 1] ?? '')) {
      at++;
      if (text[at] !== '\n') inside += text[at];
    } else inside += char;
  }
  return refuse('a quote (") that does not end');
}

const endOfLine = (text: string, from: number): number => {
  const newline = text.indexOf('\n', from);
  return newline < 0 ? text.length : newline;
};

function refuse(what: string): never {
  throw new VirtError('CONFIG_UNSUPPORTED', { detail: `the command line has ${what}` });
}

/** One word, quoted only where a shell would otherwise read it differently. */
export const quoteWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export interface Invocation {
  readonly env: Readonly<Record<string, string>>;
  readonly program: string;
  readonly args: readonly string[];
}

/** The whole as one command for a shell: a line for each variable and for each option with its value. */
export function formatInvocation({ env, program, args }: Invocation): string {
  const lines = Object.entries(env).map(([name, value]) => `${name}=${quoteWord(value)}`);
  lines.push(quoteWord(program));
  for (const arg of args) {
    const last = lines.length - 1;
    const continues = !arg.startsWith('-') && last > 0 && /^-\S+$/.test(lines[last]!);
    if (continues) lines[last] += ` ${quoteWord(arg)}`;
    else lines.push(quoteWord(arg));
  }
  return `${lines.join(' \\\n')}\n`;
}
