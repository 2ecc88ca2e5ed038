/** From declared commands to a parser: arguments, options, help pages, and what becomes of a wrong command line. */
import { Command, Option as CommanderOption } from 'commander';
import { commands } from './commands';
import { exitCodes } from './failure';
import type { Output } from './output';
import { Session } from './session';
import { traced } from './trace';
import {
  groups,
  longestSeconds,
  parseNumber,
  UsageError,
  type ArgumentValues,
  type Arguments,
  type CommandSpec,
  type Globals,
  type Group,
  type Option,
  type OptionValues,
  type Options,
} from './spec';

export const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Options of every command; docs and completion read them too. */
export const globalOptions: readonly { flags: string; doc: string; parse?: (text: string) => unknown }[] = [
  { flags: '--json', doc: 'print JSON: one document, or a line an event' },
  {
    flags: '--timeout <seconds>',
    doc: 'wait this long for an answer',
    parse: (text) => Math.min(parseNumber(text, '--timeout', 0.001, true), longestSeconds()),
  },
  { flags: '--context <file>', doc: 'credentials to use (VIRTBUS_CONTEXT)' },
  { flags: '--url <url>', doc: 'NATS server(s), comma separated (VIRTBUS_NATS_URL)' },
];

/** Options that a command has because of the contract behind it. */
export const givingOptions: Options = {
  id: {
    placeholder: 'ID',
    doc: "the command's id: the same id again is applied once and gets its first answer again",
    parse: (text) => text,
  },
  queue: { doc: 'leave the command in the work queue, to be applied when its host is there; prints its id' },
};

/** What a command takes beside the global options, in the order of its help page. */
export function optionsOf(spec: CommandSpec): Options {
  const { id, queue } = givingOptions;
  return { ...spec.options, ...(spec.gives ? { id: id! } : {}), ...(spec.queue ? { queue: queue! } : {}) };
}

/** `--since <WHEN>`, `-f, --follow`. */
export function flagsOf(key: string, option: Option): string {
  const short = option.short ? `-${option.short}, ` : '';
  return `${short}--${kebab(key)}${option.placeholder ? ` <${option.placeholder}>` : ''}`;
}

/** `<domain> [file]`. */
export function argumentsOf(spec: CommandSpec): string {
  return Object.entries(spec.args)
    .map(([key, { kind }]) => {
      const name = kebab(key);
      return kind === 'one' ? `<${name}>` : kind === 'optional' ? `[${name}]` : `[${name}...]`;
    })
    .join(' ');
}

export type MakeOutput = (json: boolean) => Output;

export function buildProgram(version: string, makeOutput: MakeOutput): Command {
  const program = new Command('virtbus')
    .description("libvirt for a fleet: virsh's verbs over the bus")
    .usage('[options] <command> [arguments]')
    .version(version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .showHelpAfterError(false)
    .exitOverride();
  program.configureHelp({ showGlobalOptions: true, sortSubcommands: false, subcommandTerm: (c) => c.name() });
  for (const { flags, doc, parse } of globalOptions) {
    const option = new CommanderOption(flags, doc);
    if (parse) option.argParser(parse);
    program.addOption(option);
  }
  program.addHelpText('after', () => `\n${exitCodeText()}\n\n'virtbus help <command>' shows a command with examples.`);
  for (const group of Object.keys(groups) as Group[]) {
    program.commandsGroup(`${groups[group]}:`);
    for (const spec of commands.filter((each) => each.group === group)) addCommand(program, spec, makeOutput, version);
  }
  return program;
}

export function exitCodeText(): string {
  const lines = Object.values(exitCodes).map(({ code, says }) => `  ${String(code).padEnd(5)}${says}`);
  return `Exit codes:\n${lines.join('\n')}`;
}

function addCommand(program: Command, spec: CommandSpec, makeOutput: MakeOutput, version: string): void {
  const c = program.command(spec.name, { hidden: spec.hidden ?? false }).summary(spec.summary);
  c.allowExcessArguments()
    .description(spec.about ? `${spec.summary}\n\n${spec.about}` : spec.summary)
    .exitOverride();
  c.aliases([...(spec.aliases ?? [])]);
  const options = optionsOf(spec);
  for (const [key, { doc, kind }] of Object.entries(spec.args)) {
    // Optional for the parser, because `--name VALUE` may stand in for it, as in virsh; checked in `readArguments`.
    c.argument(kind === 'many' ? `[${kebab(key)}...]` : `[${kebab(key)}]`, doc);
    if (!(key in options)) c.addOption(new CommanderOption(`--${kebab(key)} <${key}>`).hideHelp().argParser(collect));
  }
  c.usage(`[options] ${argumentsOf(spec)}`.trimEnd());
  for (const [key, option] of Object.entries(options)) addOption(c, key, option);
  const examples = spec.examples.map(({ line, says }) => `  # ${says}\n  ${line ? `virtbus ${line}` : 'virtbus'}`);
  if (examples.length > 0) c.addHelpText('after', `\nExamples:\n${examples.join('\n')}`);
  c.action(async () => {
    const all = c.opts<Record<string, unknown>>();
    const globals = program.opts<Globals>();
    const out = makeOutput(globals.json);
    const session = new Session(globals, all, out);
    const args = readArguments(spec, c.args, all, options);
    try {
      const say = (line: string): void => out.note(line);
      await traced(spec.name, version, say, () =>
        spec.run({ args, options: withFlags(options, all), globals, session, out }),
      );
    } finally {
      await session.close();
    }
  });
}

const collect = (text: string, before: unknown): string[] => [...((before as string[] | undefined) ?? []), text];

function addOption(c: Command, key: string, option: Option): void {
  const made = new CommanderOption(flagsOf(key, option), option.doc);
  // What is declared as `noDomain` is a flag of that name, not the opposite of `--domain`.
  made.negate = false;
  const { parse, repeats } = option;
  if (parse) {
    const read = (text: string): unknown => parse(text, `--${kebab(key)}`);
    made.argParser(repeats ? (text, before) => [...((before as unknown[]) ?? []), read(text)] : read);
  }
  c.addOption(made);
  if (option.negatable) c.addOption(new CommanderOption(`--no-${kebab(key)}`, 'or the opposite'));
}

/** A flag that is not given is false, a repeated option an empty list. */
function withFlags(options: Options, given: Record<string, unknown>): OptionValues<Options> {
  const filled = Object.entries(options).map(([key, option]) => {
    const absent = option.repeats ? [] : option.parse || option.negatable ? undefined : false;
    return [key, given[key] ?? absent] as const;
  });
  return Object.fromEntries(filled);
}

const usageOf = (spec: CommandSpec): string => `usage: virtbus ${spec.name} [options] ${argumentsOf(spec)}`.trimEnd();

/** Words in their order, after those that were named (`--domain web1`), as virsh takes them. */
function readArguments(
  spec: CommandSpec,
  words: readonly string[],
  named: Record<string, unknown>,
  options: Options,
): ArgumentValues<Arguments> {
  const left = [...words];
  const values: Record<string, string | string[] | undefined> = {};
  for (const [key, { kind, completes }] of Object.entries(spec.args)) {
    const byName = key in options ? undefined : (named[key] as string[] | undefined);
    if (kind === 'many') values[key] = [...(byName ?? []), ...left.splice(0)];
    else values[key] = byName?.at(-1) ?? left.shift();
    if (kind === 'one' && values[key] === undefined)
      throw new UsageError(`missing argument <${kebab(key)}>; ${usageOf(spec)}`);
    // No domain and no file has that name; a word of a command may be empty.
    const isName = kind === 'one' || completes === 'domain' || completes === 'file';
    if (isName && [values[key]].flat().includes('')) throw new UsageError(`argument <${kebab(key)}> is empty`);
  }
  if (left.length > 0) throw new UsageError(`unexpected argument '${left[0]}'; ${usageOf(spec)}`);
  return values as ArgumentValues<Arguments>;
}
