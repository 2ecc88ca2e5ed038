/** A QEMU command line as options with their properties, in either of QEMU's two spellings. */

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Option {
  /** As written: `-device`. */
  readonly name: string;
  /** The word after it; empty for an option without one. */
  readonly value: string;
  /** The word's properties, `a.b` for those inside others; the first of `a,b=c` has the name ''. */
  readonly props: ReadonlyMap<string, string>;
}

export function optionsOf(args: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let at = 0; at < args.length; at++) {
    const name = args[at] ?? '';
    const next = args[at + 1];
    const value = next === undefined || /^-[a-z]/.test(next) ? '' : next;
    if (value !== '') at += 1;
    options.push({ name, value, props: value.startsWith('{') ? flattened(JSON.parse(value) as Json) : pairs(value) });
  }
  return options;
}

/** What kind of thing an option makes: the driver, the type of object, the backend. */
export const kindOf = ({ name, props }: Option): string =>
  (name === '-object' && props.get('qom-type')) ||
  (name === '-netdev' && props.get('type')) ||
  props.get('driver') ||
  props.get('') ||
  '';

function flattened(json: Json, path = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof json !== 'object' || json === null) into.set(path, String(json));
  else for (const [key, value] of Object.entries(json)) flattened(value, path === '' ? key : `${path}.${key}`, into);
  return into;
}

/** `a,b=c`, where a comma that belongs to a value is doubled. */
function pairs(value: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const piece of value.split(/(?<!,),(?=(?:,,)*[^,])/)) {
    const equals = piece.indexOf('=');
    found.set(equals < 0 ? '' : piece.slice(0, equals), piece.slice(equals + 1).replaceAll(',,', ','));
  }
  return found;
}
