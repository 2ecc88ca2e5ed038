/** What a snapshot or a checkpoint may be called: its description lies in a file of that name. */
import { pattern, string, type Value } from '../schema';

/** Bytes. Longer ones do not fit into a file name together with what we add. */
const mostBytes = 200;

/** What is wrong with the name of a snapshot; undefined when it is good. (libvirt's words) */
export function snapshotNameFault(name: string): string | undefined {
  if (name.includes('/')) return `invalid snapshot name '${name}': name can't contain '/'`;
  if (name.startsWith('.')) return `invalid snapshot name '${name}': name can't start with '.'`;
  if (/\p{Cc}/u.test(name))
    return `invalid snapshot name ${JSON.stringify(name)}: name can't contain control characters`;
  if (Buffer.byteLength(name) > mostBytes)
    return `invalid snapshot name '${name.slice(0, 40)}…': it has ${Buffer.byteLength(name)} bytes, at most ${mostBytes} are allowed`;
  return undefined;
}

export const snapshotName: Value<string> = {
  ...string,
  // The fault says what is allowed.
  expects: '',
  parse: (raw) => (raw === '' || snapshotNameFault(raw) !== undefined ? undefined : raw),
};

/** Also the name of bitmaps in images. (libvirt's schema of checkpoints) */
export const checkpointName: Value<string> = pattern(
  /^[\w-][\w.-]{0,199}$/,
  "at most 200 letters, digits, '_', '-' and '.', no '.' in front",
);
