/**
 * How single values are read from and written to a document: text, numbers, yes/no, choices, sizes with units.
 *
 * A value knows its JSON Schema and, in words, what it expects, so an error can say what is allowed.
 */

export type JsonSchema = Record<string, unknown>;

export interface Value<T> {
  /** Undefined when `raw` is not such a value. */
  readonly parse: (raw: string) => T | undefined;
  readonly format: (value: T) => string;
  readonly json: JsonSchema;
  /** Completes "expected …"; empty where the refusal says it all. */
  readonly expects: string;
  /** A size: written with this unit in a `unit` attribute beside it and read with any unit. */
  readonly unit?: Unit;
}

export interface Unit {
  /** Written on output. */
  readonly name: string;
  /** Bytes. */
  readonly scale: number;
  /** The number and unit to write, when they depend on the size. */
  readonly write?: (value: number) => readonly [value: number, unit: string];
}

const asIs = (value: string): string => value;

/** Any text; an empty one counts as absent, as in libvirt. */
export const string: Value<string> = {
  parse: (raw) => (raw === '' ? undefined : raw),
  format: asIs,
  json: { type: 'string' },
  expects: 'text',
};

/** Any text, and an empty one is kept. */
export const anyString: Value<string> = { parse: asIs, format: asIs, json: { type: 'string' }, expects: 'text' };

/** Text of a fixed shape. */
export function pattern(shape: RegExp, expects: string, canonical: (raw: string) => string = asIs): Value<string> {
  return {
    parse: (raw) => (shape.test(raw) ? canonical(raw) : undefined),
    format: asIs,
    json: { type: 'string', pattern: shape.source },
    expects,
  };
}

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number; `0x` and a leading `0` (octal) are understood on input. */
export function int({ min = -(2 ** 31), max = 2 ** 31 - 1 }: Range = {}, expects?: string): Value<number> {
  return {
    parse: (raw) => within(parseInteger(raw), min, max),
    format: String,
    json: { type: 'integer', minimum: min, maximum: max },
    expects: expects ?? (min === -(2 ** 31) ? 'integer value' : `value between ${min} and ${max}`),
  };
}

/** libvirt's `unsigned int`. */
export const uint: Value<number> = int({ min: 0, max: 2 ** 32 - 1 }, 'non-negative integer value');
export const positive: Value<number> = int({ min: 1, max: 2 ** 32 - 1 }, 'positive value');
/** libvirt's `unsigned long long`, as far as a number is exact. */
export const ulong: Value<number> = int({ min: 0, max: Number.MAX_SAFE_INTEGER }, 'non-negative integer value');
/** A count that may be larger than a number can hold exactly, as decimal text. */
export const bigUlong: Value<string> = pattern(/^\d{1,20}$/, 'non-negative integer value');
export const long: Value<number> = int(
  { min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER },
  'integer value',
);

/** A number written in hexadecimal, zero-padded to `digits`. */
export function hex(digits: number, range: Range = {}): Value<number> {
  return {
    ...int({ min: 0, max: Number.MAX_SAFE_INTEGER, ...range }, 'hexadecimal or decimal number'),
    format: (value) => `0x${value.toString(16).padStart(digits, '0')}`,
  };
}

function parseInteger(raw: string): number | undefined {
  const text = raw.trim();
  if (/^[-+]?(0|[1-9]\d*)$/.test(text)) return Number(text);
  if (/^0x[\da-f]+$/i.test(text)) return Number(text);
  if (/^0\d+$/.test(text)) return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
  return undefined;
}

const within = (value: number | undefined, min: number, max: number): number | undefined =>
  value !== undefined && value >= min && value <= max ? value : undefined;

function boolean(yes: string, no: string): Value<boolean> {
  return {
    parse: (raw) => (raw === yes ? true : raw === no ? false : undefined),
    format: (value) => (value ? yes : no),
    json: { type: 'boolean' },
    expects: `'${yes}' or '${no}'`,
  };
}

export const yesNo = boolean('yes', 'no');
export const onOff = boolean('on', 'off');
export const trueFalse = boolean('true', 'false');
export const oneZero = boolean('1', '0');

/** One of a fixed set of words. */
export function oneOf<const W extends readonly string[]>(...words: W): Value<W[number]> {
  const known = new Map<string, W[number]>(words.map((word) => [word, word]));
  return {
    parse: (raw) => known.get(raw),
    format: asIs,
    json: { enum: words },
    expects: `one of ${words.map((word) => `'${word}'`).join(', ')}`,
  };
}

/** Another value under different words in the document. */
export function spelled<T>(value: Value<T>, read: (raw: string) => string): Value<T> {
  return { ...value, parse: (raw) => value.parse(read(raw)) };
}

const powers: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5, e: 6 };

/** Bytes in one `unit`; undefined for an unknown one. */
export function unitScale(unit: string): number | undefined {
  const lower = unit.toLowerCase();
  if (lower === 'b' || lower === 'byte' || lower === 'bytes') return 1;
  const power = powers[lower[0] ?? ''];
  if (power === undefined) return undefined;
  const rest = lower.slice(1);
  return rest === '' || rest === 'ib' ? 1024 ** power : rest === 'b' ? 1000 ** power : undefined;
}

function sized(unit: Unit): Value<number> {
  return { ...ulong, json: { ...ulong.json, description: `in ${unit.name}` }, unit };
}

/** A size in KiB, rounded up; the document may use any unit, ours says KiB. */
export const kib: Value<number> = sized({ name: 'KiB', scale: 1024 });
/** A size in bytes; the document may use any unit, ours says bytes. */
export const bytes: Value<number> = sized({ name: 'bytes', scale: 1 });
/** A size in bytes that is written with the short unit `B`. */
export const bytesShort: Value<number> = sized({ name: 'B', scale: 1 });
const names = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** A size of which `names[first]` is the smallest unit, written with the largest one that divides it. */
const pretty = (first: number): Unit => ({
  name: names[first] ?? 'bytes',
  scale: 1024 ** first,
  write: (value) => {
    let power = 0;
    while (value > 0 && value % 1024 ** (power + 1) === 0 && first + power + 1 < names.length) power += 1;
    return [value / 1024 ** power, names[first + power] ?? 'bytes'];
  },
});

/** A size in bytes, written with the largest unit that divides it. */
export const prettyBytes: Value<number> = sized(pretty(0));
/** A size in KiB, written with the largest unit that divides it. */
export const prettyKib: Value<number> = sized(pretty(1));

const uuidShape = /^\s*[\da-f]{8}-?[\da-f]{4}-?[\da-f]{4}-?[\da-f]{4}-?[\da-f]{12}\s*$/i;

/** A UUID, written in lower case with dashes. */
export const uuid: Value<string> = pattern(uuidShape, 'a UUID', (raw) => {
  const digits = raw.replace(/[\s-]/g, '').toLowerCase();
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => digits.slice(from, to))
    .join('-');
});

/** An Ethernet address, written in lower case with leading zeros. */
export const mac: Value<string> = pattern(/^[\da-f]{1,2}(:[\da-f]{1,2}){5}$/i, 'a MAC address', (raw) =>
  raw
    .toLowerCase()
    .split(':')
    .map((byte) => byte.padStart(2, '0'))
    .join(':'),
);
