/** One run of `virtbus`: from the words of a command line to an exit code. Never throws. */
import { CommanderError } from 'commander';
import { commands } from './commands';
import { exitCodes, failureOf, formatFailure, type Failure } from './failure';
import { ExitWith } from './exec';
import { Output, type Streams } from './output';
import { buildProgram, globalOptions } from './program';

/** @param words the command line without node and script */
export async function run(words: readonly string[], streams: Streams, version: string): Promise<number> {
  const family = familyAlone(words);
  if (family !== undefined) {
    streams.stdout.write(membersOf(family));
    return exitCodes.ok.code;
  }
  const program = buildProgram(version, (json) => new Output(streams, json));
  const setUp = [program, ...program.commands];
  for (const each of setUp) {
    each.configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      outputError: () => undefined,
      getOutHasColors: () => false,
      getOutHelpWidth: () => streams.stdout.columns ?? 100,
    });
  }
  try {
    await program.parseAsync(spelledOut(words), { from: 'user' });
    return exitCodes.ok.code;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return exitCodes.ok.code;
    if (thrown instanceof ExitWith) return thrown.code;
    const failure = thrown instanceof CommanderError ? wrongLine(thrown, words) : failureOf(thrown);
    if (failure.message) streams.stderr.write(`${formatFailure(failure, words.includes('--json'))}\n`);
    if (streams.env.VIRTBUS_DEBUG) streams.stderr.write(`${describe(thrown)}\n`);
    return exitCodes[failure.exit].code;
  }
}

/** Commands that may be given in two words. */
const families: ReadonlySet<string> = new Set(['chain', 'host', 'auth']);

/** `help start` is `start --help`, `chain show` is `chain-show`; nothing at all asks for help too. */
function spelledOut(words: readonly string[]): string[] {
  const { globals, rest } = led(words);
  if (rest.length === 0) return [...globals, '--help'];
  if (rest[0] === 'help') {
    const [asked] = inOneWord(rest.slice(1));
    if (asked === undefined) return [...globals, '--help'];
    // The parser would show the help of all for a command that there is not.
    return isCommand(asked) ? [...globals, asked, '--help'] : [...globals, asked];
  }
  return [...globals, ...inOneWord(rest)];
}

const isCommand = (word: string): boolean =>
  commands.some(({ name, aliases = [] }) => name === word || aliases.includes(word));

function inOneWord(words: readonly string[]): string[] {
  const [family = '', ...after] = words;
  if (!families.has(family)) return [...words];
  const { globals, rest } = led(after);
  return rest[0] === undefined ? [...words] : [`${family}-${rest[0]}`, ...globals, ...rest.slice(1)];
}

/** `auth`, `auth --help`, `help auth`: the family that is asked for and none of its commands. */
function familyAlone(words: readonly string[]): string | undefined {
  const [first, ...after] = commandIn(words);
  if (first === undefined || !families.has(first)) return undefined;
  const [second] = led(after).rest;
  return second === undefined || ['--help', '-h'].includes(second) ? first : undefined;
}

/** From the command's first word on. */
function commandIn(words: readonly string[]): readonly string[] {
  const { rest } = led(words);
  return rest[0] === 'help' ? rest.slice(1) : rest;
}

/** The global options that stand first, with their values, and what comes after them. */
function led(words: readonly string[]): { globals: readonly string[]; rest: readonly string[] } {
  let at = 0;
  for (let taken = 1; taken > 0 && at < words.length; at += taken) taken = lengthOfGlobal(words[at]!);
  return { globals: words.slice(0, at), rest: words.slice(at) };
}

/** How many words a global option is: itself, and its value unless that is written behind `=`. 0 for another word. */
function lengthOfGlobal(word: string): number {
  for (const { flags } of globalOptions) {
    const [name, value] = flags.split(' ');
    if (word === name) return value === undefined ? 1 : 2;
    if (value !== undefined && word.startsWith(`${name}=`)) return 1;
  }
  return 0;
}

function membersOf(family: string): string {
  const members = commands.filter(({ name, hidden }) => name.startsWith(`${family}-`) && !hidden);
  const names = members.map(({ name }) => name.replace('-', ' '));
  const width = Math.max(...names.map(({ length }) => length));
  const lines = members.map(({ summary }, index) => `  ${names[index]!.padEnd(width)}  ${summary}`);
  return `Usage: virtbus ${family} <command>\n\n${lines.join('\n')}\n\n'virtbus help ${members[0]!.name}' shows a command with examples.\n`;
}

/** Commander's words in one line, with the way to help. */
function wrongLine(error: CommanderError, words: readonly string[]): Failure {
  const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  const [first = ''] = commandIn(words);
  const help = families.has(first) ? `virtbus ${first}` : 'virtbus help';
  const hint = /Did you mean/.test(message) ? '' : `; see '${help}'`;
  return { exit: 'usage', code: 'USAGE', message: `${message}${hint}` };
}

/** The whole story of a failure, for the one who looks for a defect. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `\ncaused by: ${describe(thrown.cause)}`;
  return `${thrown.stack ?? thrown.message}${cause}`;
}
