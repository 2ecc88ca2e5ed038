/**
 * How a command is declared: its words, arguments, options, examples and what it does, in one value.
 *
 * The parser, `--help`, shell completion and docs/cli.md come from these values; the types of `args` and `options` in
 * `run` come from them too.
 */
import { busModule } from './lazy';
import type { Session } from './session';
import type { Output } from './output';

/** What a shell may offer for a word. */
export type Completes = 'domain' | 'host' | 'file' | 'command';

export interface Argument<K extends 'one' | 'optional' | 'many' = 'one' | 'optional' | 'many'> {
  readonly kind: K;
  readonly doc: string;
  readonly completes?: Completes | readonly string[] | undefined;
}

export interface Option<T = unknown> {
  /** Shown after the option's name; a flag has none. */
  readonly placeholder?: string;
  readonly doc: string;
  readonly short?: string;
  readonly completes?: Completes | readonly string[] | undefined;
  readonly repeats?: boolean;
  /** `--no-<name>` exists too; the value is undefined when neither is given. */
  readonly negatable?: boolean;
  /** Throws `UsageError`. Absent: a flag. */
  readonly parse?: (text: string, name: string) => unknown;
  /** Carries the type; never set. */
  readonly type?: T;
}

export const argument = (doc: string, completes?: Argument['completes']): Argument<'one'> => ({
  kind: 'one',
  doc,
  completes,
});
export const optional = (doc: string, completes?: Argument['completes']): Argument<'optional'> => ({
  kind: 'optional',
  doc,
  completes,
});
export const many = (doc: string, completes?: Argument['completes']): Argument<'many'> => ({
  kind: 'many',
  doc,
  completes,
});
/** The argument that nearly every command has. */
export const domain = argument('name or uuid of the domain', 'domain');

export const flag = (doc: string): Option<boolean> => ({ doc });
export const eitherWay = (doc: string): Option<boolean | undefined> => ({ doc, negatable: true });
export const value = (placeholder: string, doc: string, completes?: Completes): Option<string | undefined> => ({
  placeholder,
  doc,
  completes,
  parse: (text) => text,
});
export const repeated = (placeholder: string, doc: string): Option<string[]> => ({
  placeholder,
  doc,
  repeats: true,
  parse: (text) => text,
});
/** A value of a fixed set. */
export const choice = <const C extends readonly string[]>(choices: C, doc: string): Option<C[number] | undefined> => ({
  placeholder: choices.join('|'),
  doc,
  completes: choices,
  parse: (text, name) => {
    if (choices.includes(text)) return text;
    throw new UsageError(`${name}: '${text}' is none of ${choices.join(', ')}`);
  },
});
/** A number, `least` or more; whole unless `fraction`. */
export const number = (placeholder: string, doc: string, least = 0, fraction = false): Option<number | undefined> => ({
  placeholder,
  doc,
  parse: (text, name) => parseNumber(text, name, least, fraction),
});

/** As long as a timer can be, with a second for the answer to get here. */
export const longestSeconds = (): number => busModule().longestMs / 1_000 - 1;

export function parseNumber(text: string, name: string, least = 0, fraction = false): number {
  const parsed = (fraction ? /^\d+(\.\d+)?$/ : /^\d+$/).test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(Math.trunc(parsed)) && parsed >= least) return parsed;
  throw new UsageError(
    `${name}: '${text}' is not a ${fraction ? '' : 'whole '}number${least ? ` from ${least} up` : ''}`,
  );
}

export type Arguments = Readonly<Record<string, Argument>>;
export type Options = Readonly<Record<string, Option>>;

type ArgumentValue<A> =
  A extends Argument<'one'> ? string : A extends Argument<'optional'> ? string | undefined : string[];
export type ArgumentValues<A extends Arguments> = { [K in keyof A]: ArgumentValue<A[K]> };
export type OptionValues<O extends Options> = { [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** Options that every command understands, wherever they stand on the line. */
export interface Globals {
  json: boolean;
  /** Seconds. */
  timeout?: number | undefined;
  context?: string | undefined;
  url?: string | undefined;
}

/** What a command works with. */
export interface Run<A extends Arguments, O extends Options> {
  args: ArgumentValues<A>;
  options: OptionValues<O>;
  globals: Globals;
  session: Session;
  out: Output;
}

export const groups = {
  domain: 'Domain management',
  monitor: 'Domain monitoring',
  device: 'Devices and hardware',
  guest: 'Inside the guest',
  pool: 'Storage pools',
  volume: 'Storage volumes',
  chain: 'Backing chains',
  snapshot: 'Snapshots',
  backup: 'Checkpoints and backups',
  host: 'Hosts and fleet',
  auth: 'Credentials of the bus',
  tool: 'virtbus itself',
} as const;
export type Group = keyof typeof groups;

export interface Example {
  readonly line: string;
  readonly says: string;
}

export interface CommandSpec<A extends Arguments = Arguments, O extends Options = Options> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: Group;
  /** One line, for lists of commands. */
  readonly summary: string;
  /** More lines, for its own page. */
  readonly about?: string;
  readonly args: A;
  readonly options: O;
  /** Whole command lines without `virtbus`. */
  readonly examples: readonly Example[];
  /** The contract of the command it gives: adds `--id`, and `--queue` where `queue` is set. */
  readonly gives?: string;
  readonly queue?: boolean;
  /** Not shown in lists; it works all the same. */
  readonly hidden?: boolean;
  run(run: Run<A, O>): Promise<void>;
}

/** Declares a command; the types of its arguments and options are inferred. */
export const command = <const A extends Arguments, const O extends Options>(spec: CommandSpec<A, O>): CommandSpec =>
  spec;

export const example = (line: string, says: string): Example => ({ line, says });

/** The command line is wrong: nothing was asked of anybody. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
