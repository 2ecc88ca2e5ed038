/**
 * What may stand next on a command line: commands, options, and names that the bus knows.
 *
 * A shell waits for this at each press of Tab: the bus has little time to answer, and any failure is silence.
 */
import { commands } from './commands';
import { Output } from './output';
import { flagsOf, globalOptions, kebab, optionsOf } from './program';
import { Session } from './session';
import type { Argument, CommandSpec, Globals, Option } from './spec';

const answerSeconds = 1;

export interface Candidate {
  word: string;
  says?: string;
}
/** Candidates, or `files`: the shell knows those better. */
export type Candidates = readonly Candidate[] | 'files';
export type Ask = (what: 'domain' | 'host', globals: Globals) => Promise<string[]>;

/** Print the candidates for the last of `words`; an empty last word asks for all. */
export async function complete(words: readonly string[], stdout: NodeJS.WritableStream): Promise<number> {
  const found = await candidatesFor(words, askBus).catch((): Candidates => []);
  const lines = found === 'files' ? [':files'] : found.map(({ word, says }) => (says ? `${word}\t${says}` : word));
  if (lines.length > 0) stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

export async function candidatesFor(words: readonly string[], ask: Ask): Promise<Candidates> {
  const current = words.at(-1) ?? '';
  const { spec, before, positional, globals } = read(words.slice(0, -1));
  const fits = (all: readonly Candidate[]): Candidate[] => all.filter(({ word }) => word.startsWith(current));
  const named = async (kind: Argument['completes']): Promise<Candidates> => {
    if (kind === 'file') return 'files';
    if (kind === 'domain' || kind === 'host') return fits((await ask(kind, globals)).map((word) => ({ word })));
    if (kind === 'command') return fits(commandNames());
    return fits((kind ?? []).map((word) => ({ word })));
  };
  if (before) return named(before.completes);
  if (current.startsWith('-')) return fits(flags(spec));
  if (!spec) return fits(commandNames());
  const args = Object.values(spec.args);
  const last = args.at(-1);
  const next = args[positional] ?? (last?.kind === 'many' ? last : undefined);
  if (next) return named(next.completes);
  return fits(flags(spec));
}

const commandNames = (): Candidate[] =>
  commands.filter((spec) => !spec.hidden).map((spec) => ({ word: spec.name, says: spec.summary }));

function flags(spec: CommandSpec | undefined): Candidate[] {
  const own = Object.entries(spec ? optionsOf(spec) : {}).flatMap(([key, option]) => [
    { word: `--${kebab(key)}`, says: option.doc },
    ...(option.negatable ? [{ word: `--no-${kebab(key)}`, says: 'or the opposite' }] : []),
  ]);
  const all = globalOptions.map(({ flags: text, doc }) => ({ word: text.split(' ')[0]!, says: doc }));
  return [...own, ...all, { word: '--help', says: 'show help' }];
}

interface Line {
  spec: CommandSpec | undefined;
  /** The option whose value is being typed. */
  before: Pick<Option, 'completes'> | undefined;
  /** How many arguments stand there already. */
  positional: number;
  globals: Globals;
}

/** What the words before the cursor say. */
function read(words: readonly string[]): Line {
  const line: Line = { spec: undefined, before: undefined, positional: 0, globals: { json: false } };
  for (const word of words) {
    if (line.before) {
      line.before = undefined;
      continue;
    }
    if (!word.startsWith('-')) {
      if (line.spec) line.positional++;
      else line.spec = commands.find(({ name, aliases }) => name === word || aliases?.includes(word));
    } else if (!word.includes('=')) line.before = takesValue(line.spec, word);
  }
  readGlobals(words, line.globals);
  return line;
}

function takesValue(spec: CommandSpec | undefined, word: string): Line['before'] {
  const global = globalOptions.find(({ flags: text }) => text.startsWith(`${word} `));
  if (global) return { completes: word === '--context' ? 'file' : [] };
  const own = Object.entries(spec ? optionsOf(spec) : {}).find(([key, option]) =>
    flagsOf(key, option).split(/[ ,]+/).includes(word),
  );
  return own?.[1].placeholder ? own[1] : undefined;
}

/** How to reach the bus, when the line says it. */
function readGlobals(words: readonly string[], globals: Globals): void {
  for (const key of ['context', 'url'] as const) {
    const at = words.lastIndexOf(`--${key}`);
    const joined = words.findLast((word) => word.startsWith(`--${key}=`));
    const given = joined?.slice(key.length + 3) ?? (at < 0 ? undefined : words[at + 1]);
    if (given) globals[key] = given;
  }
}

/** Names from the bus within a second, or none. */
async function askBus(what: 'domain' | 'host', globals: Globals): Promise<string[]> {
  const silent = { stdout: process.stdout, stderr: process.stderr, env: process.env };
  const session = new Session({ ...globals, timeout: answerSeconds }, {}, new Output(silent, false));
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('no answer')), answerSeconds * 1_000).unref();
  });
  try {
    return await Promise.race([late, names(session, what)]);
  } finally {
    void session.close();
  }
}

async function names(session: Session, what: 'domain' | 'host'): Promise<string[]> {
  if (what === 'domain') return (await session.call('listDomains', { limit: 1_000 })).domains.map(({ name }) => name);
  const { hosts } = await session.call('listHosts', {});
  return [...new Set(hosts.map(({ host }) => host))];
}
