/** What a domain may be called. */
import { anyString, type Value } from './schema';

/** Bytes. Longer ones do not fit into a file name together with what we add. */
const mostBytes = 200;

const shown = (name: string): string => JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);

const faults: readonly (readonly [has: (name: string) => boolean, says: (name: string) => string])[] = [
  [(name) => name.trim() === '', () => 'a domain name must not be empty'],
  [(name) => name === '.' || name === '..', (name) => `name '${name}' is not allowed: it means a folder`],
  [(name) => name.includes('/'), (name) => `name ${shown(name).slice(1, -1)} cannot contain '/'`],
  [(name) => /\p{Cc}/u.test(name), (name) => `name ${shown(name)} cannot contain newlines or other control characters`],
  [
    (name) => Buffer.byteLength(name) > mostBytes,
    (name) => `name ${shown(name)} has ${Buffer.byteLength(name)} bytes, at most ${mostBytes} are allowed`,
  ],
];

/** What is wrong with a name that libvirt or a file system would refuse; undefined when it is good. */
export const nameFault = (name: string): string | undefined => faults.find(([has]) => has(name))?.[1](name);

export const domainName: Value<string> = {
  ...anyString,
  parse: (raw) => (nameFault(raw) === undefined ? raw : undefined),
  expects: '',
};
