/**
 * Configuration: each setting is declared once with its schema, default, environment variable and words; a flag beats
 * the environment, which beats the file (`VIRTBUS_CONFIG`, JSON), which beats the default.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { VirtError } from '../errors';

export interface Setting<S extends z.ZodType = z.ZodType> {
  schema: S;
  /** Environment variable. */
  env: string;
  doc: string;
}

export type Settings = Record<string, Setting>;
export type Values<T extends Settings> = { [K in keyof T]: z.output<T[K]['schema']> };

export const setting = <S extends z.ZodType>(env: string, schema: S, doc: string): Setting<S> => ({ env, schema, doc });

/** A list in the environment is comma separated; in the file it is an array. */
export const list = z.preprocess(
  (value) =>
    typeof value === 'string'
      ? value
          .split(',')
          .map((item) => item.trim())
          .filter(Boolean)
      : value,
  z.array(z.string()),
);

/** `key=value,key=value` in the environment, an object in the file. */
export const pairs = z.preprocess(
  (value) => (typeof value === 'string' ? readPairs(value) : value),
  z.record(z.string(), z.string(), 'must be key=value,key=value'),
);

/** The text itself when a part of it is no pair: the schema then refuses it. */
function readPairs(text: string): Record<string, string> | string {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  if (!parts.every((part) => part.indexOf('=') > 0)) return text;
  return Object.fromEntries(
    parts.map((part) => [part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1).trim()]),
  );
}

export const bool = z.preprocess(
  (value) =>
    value === '1' || value === 'true' || value === 'yes'
      ? true
      : value === '0' || value === 'false' || value === 'no' || value === ''
        ? false
        : value,
  z.boolean(),
);

export interface Sources {
  env?: NodeJS.ProcessEnv;
  /** `--state-dir DIR`, `--state-dir=DIR`; names are the keys in kebab case. */
  argv?: readonly string[];
}

/** One file may configure all services of a machine: these keys belong to some of them. */
const otherServicesKeys = new Set([
  ...[
    'natsUrl',
    'context',
    'natsUser',
    'natsPassword',
    'natsToken',
    'natsCreds',
    'natsInboxPrefix',
    'natsCa',
    'natsCert',
    'natsKey',
    'logLevel',
    'drainMs',
    'httpListen',
  ],
  ...['stateDir', 'runDir', 'host', 'labels', 'natsPort'],
  ...['emulators', 'qemuUser', 'sandbox', 'cgroup', 'imagePolicy', 'subIds'],
  ...['jetstreamReplicas', 'eventsMaxAgeDays', 'eventsMaxMib'],
]);

/** Read every setting. Throws one `INVALID_ARG` that names each bad key and where it came from. */
export function loadConfig<T extends Settings>(settings: T, sources: Sources = {}): Values<T> {
  const env = sources.env ?? process.env;
  const flags = readFlags(settings, sources.argv ?? process.argv.slice(2));
  const file = env.VIRTBUS_CONFIG ? readFile(env.VIRTBUS_CONFIG) : {};
  const faults: string[] = Object.keys(file)
    .filter((key) => !Object.hasOwn(settings, key) && !otherServicesKeys.has(key))
    .map((key) => `${env.VIRTBUS_CONFIG}: unknown key '${key}'`);
  const values: Record<string, unknown> = {};
  for (const [key, { schema, env: variable }] of Object.entries(settings)) {
    const [value, from] = Object.hasOwn(flags, key)
      ? [flags[key], `--${kebab(key)}`]
      : env[variable] !== undefined && env[variable] !== ''
        ? [env[variable], variable]
        : [
            Object.hasOwn(file, key) ? file[key] : undefined,
            Object.hasOwn(file, key) ? `${env.VIRTBUS_CONFIG}: ${key}` : key,
          ];
    const parsed = schema.safeParse(value);
    if (parsed.success) values[key] = parsed.data;
    else faults.push(`${from}: ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  if (faults.length > 0) throw new VirtError('INVALID_ARG', { detail: `configuration: ${faults.join('; ')}` });
  return values as Values<T>;
}

export const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function readFile(path: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
    throw new SyntaxError('not an object');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new VirtError('INVALID_ARG', { detail: `configuration: cannot read ${path}: ${why}` }, { cause });
  }
}

function readFlags(settings: Settings, argv: readonly string[]): Record<string, string> {
  const byFlag = new Map(Object.keys(settings).map((key) => [`--${kebab(key)}`, key]));
  const flags: Record<string, string> = {};
  for (let i = 0; i < argv.length; i++) {
    const [name = '', ...rest] = argv[i]!.split('=');
    const key = byFlag.get(name);
    if (!key)
      throw new VirtError('INVALID_ARG', {
        detail: `unknown option '${argv[i]}'; known: ${[...byFlag.keys()].join(' ')}`,
      });
    const value = rest.length > 0 ? rest.join('=') : argv[++i];
    if (value === undefined) throw new VirtError('INVALID_ARG', { detail: `${name} needs a value` });
    flags[key] = value;
  }
  return flags;
}
