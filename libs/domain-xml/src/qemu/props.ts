/** Options of QEMU objects: as JSON, as QMP arguments, and as the older `key=value` words. */

export type JsonValue =
  string | number | bigint | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** The options of one object, in the order in which they are written. */
export type Props = { [key: string]: JsonValue };

/** What an options object is written from; what is undefined is left out. */
export type LooseProps = { readonly [key: string]: JsonValue | undefined };

/** Options without those that are undefined. */
export function props(...parts: readonly LooseProps[]): Props {
  const out: Props = {};
  for (const part of parts) for (const key in part) if (part[key] !== undefined) out[key] = part[key];
  return out;
}

/** `on` or `off`, for the properties that QEMU wants so and for words. */
export function onOrOff(value: boolean): 'on' | 'off';
export function onOrOff(value: boolean | undefined): 'on' | 'off' | undefined;
export function onOrOff(value: boolean | undefined): 'on' | 'off' | undefined {
  return value === undefined ? undefined : value ? 'on' : 'off';
}

/** The number unless it is 0, which stands for "not said". */
export const nonZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);

/** A value inside `key=value,…` words: a comma is doubled. */
export const escapeWord = (value: string): string => value.replace(/,/g, ',,');

/** `first,key=value,…`; a boolean is on or off, a list repeats its key, what is undefined is left out. */
export function words(first: string, options: { readonly [key: string]: JsonValue | undefined }): string {
  const parts: string[] = first === '' ? [] : [first];
  for (const key in options) addWord(parts, key, options[key]);
  return parts.join(',');
}

function addWord(parts: string[], key: string, value: JsonValue | undefined): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) for (const one of value as readonly JsonValue[]) addWord(parts, key, one);
  else if (typeof value === 'object')
    for (const [inner, one] of Object.entries(value)) addWord(parts, `${key}.${inner}`, one);
  else if (typeof value === 'boolean') parts.push(`${key}=${onOrOff(value)}`);
  else parts.push(`${key}=${escapeWord(String(value))}`);
}

/** Marks a number too large for JavaScript's while it passes through `JSON.stringify`; no option contains it. */
const bigMark = '\ue000';
const bigText = new RegExp(`"${bigMark}(\\d+)"`, 'g');

/** The options as QEMU reads them; numbers above 2^53 (a disk's WWN) keep all their digits. */
export function toJson(value: object): string {
  const text = JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? `${bigMark}${one}` : one));
  return text.includes(bigMark) ? text.replace(bigText, '$1') : text;
}
