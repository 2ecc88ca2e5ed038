/** One run of `virtbus`: from the words of a command line to an exit code. Never throws. */
import { CommanderError } from 'commander';
import { commands } from './commands';
import { exitCodes, failureOf, formatFailure, type Failure } from './failure';
import { ExitWith } from './exec';
import { Output, type Streams } from './output';
import { buildProgram } from './program';

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
  if (words.length === 0) return ['--help'];
  if (families.has(words[0]!) && words[1]) return [`${words[0]}-${words[1]}`, ...words.slice(2)];
  return words[0] === 'help' ? [...words.slice(1, 2), '--help'] : [...words];
}

/** `auth`, `auth --help`, `help auth`: the family that is asked for and none of its commands. */
function familyAlone(words: readonly string[]): string | undefined {
  const [first, second] = words[0] === 'help' ? words.slice(1) : words;
  if (first === undefined || !families.has(first)) return undefined;
  return second === undefined || ['--help', '-h'].includes(second) ? first : undefined;
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
  const help = families.has(words[0]!) ? `virtbus ${words[0]}` : 'virtbus help';
  const hint = /Did you mean/.test(message) ? '' : `; see '${help}'`;
  return { exit: 'usage', code: 'USAGE', message: `${message}${hint}` };
}

/** The whole story of a failure, for the one who looks for a defect. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `\ncaused by: ${describe(thrown.cause)}`;
  return `${thrown.stack ?? thrown.message}${cause}`;
}
