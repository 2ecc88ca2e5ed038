/**
 * Lines of liblxc's configuration, written so that a value stays a value: one line each, no value that would be read as
 * something else, and no line that anybody but us has chosen the key of.
 */
import { VirtError, type InDocument } from '@virtbus/shared';
import { fail } from '../../schema';

export type Where = Omit<InDocument, 'detail'>;

const keyShape = /^lxc(\.[a-z0-9_-]+)+$/;
/** C0, DEL, C1, and the two line separators of Unicode. */
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

export class ConfigLines {
  readonly #lines: string[] = [];

  /** Throws CONFIG_UNSUPPORTED for a value that the file cannot hold. */
  set(key: string, value: string | number, where: Where = {}): void {
    if (!keyShape.test(key)) throw new VirtError('INVALID_ARG', { detail: `'${key}' is no key of liblxc` });
    this.#lines.push(`${key} = ${quoted(key, String(value), where)}`);
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }
}

/** liblxc trims a value and takes one pair of quotes off it, and an empty one resets the setting. */
function quoted(key: string, value: string, where: Where): string {
  if (value === '') refuse(`an empty value cannot be handed to the container (${key})`, where);
  if (control.test(value))
    refuse(`a line break or another control character cannot be handed to the container (${key}); remove it`, where);
  return /^['"\s]|\s$/.test(value) ? `"${value}"` : value;
}

/** One mount, as in fstab(5). `target` is a path inside the container; what fstab cannot hold is escaped as fstab does. */
export function mountEntry(
  lines: ConfigLines,
  { source, target, type, options }: { source: string; target: string; type: string; options: readonly string[] },
  where: Where = {},
): void {
  const fields = [source, relative(target, where), type, options.join(',')].map(escapeField);
  lines.set('lxc.mount.entry', `${fields.join(' ')} 0 0`, where);
}

/** liblxc joins targets to the root file system: no leading slash, and nothing that climbs out. */
export function relative(path: string, where: Where): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (!path.startsWith('/') || parts.length === 0 || parts.includes('..'))
    refuse(`'${path}' must be an absolute path below '/', without '..'`, where);
  return parts.join('/');
}

const escapeField = (field: string): string =>
  field.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);

export const refuse: (detail: string, where?: Where) => never = (detail, where = {}) =>
  fail('CONFIG_UNSUPPORTED', detail, where);
