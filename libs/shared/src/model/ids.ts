/**
 * How things are named on the bus. A subject is split at dots, so every id must be one token: uuids and host names
 * are tokens already, a domain's name is encoded.
 */
import { z } from 'zod';

/** A uuid in its canonical lower-case form; upper case and missing hyphens are accepted on input, as libvirt does. */
export const Uuid = z
  .string()
  .transform((text) => canonicalUuid(text) ?? text)
  .pipe(z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be a uuid'))
  .describe('uuid');

/** `undefined` when the text is no uuid at all. */
export function canonicalUuid(text: string): string | undefined {
  const digits = text.replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(digits)) return undefined;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A host's name on the bus: one subject token. */
export const HostName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, 'must be letters, digits, - and _, at most 63 of them')
  .describe('name of a host');

/** A driver's name: one subject token, `qemu`, `lxc`, … */
export const DriverName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and -')
  .describe('name of a driver');

/** `key=value` facts about a host, matched by placement. */
export const Labels = z.record(z.string().max(63), z.string().max(253)).describe('labels of a host');

/**
 * A domain's name as one subject token: every byte outside `A-Z a-z 0-9 - _` becomes `=XX` (two hex digits).
 * Injective, so two names never share a subject; an encoded name can't be mistaken for a wildcard.
 */
export function encodeToken(name: string): string {
  let token = '';
  for (const byte of new TextEncoder().encode(name)) {
    const char = String.fromCharCode(byte);
    token += /[A-Za-z0-9_-]/.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token;
}

/** The other end of `encodeToken`; a token that was never encoded comes back as it is. */
export function decodeToken(token: string): string {
  const bytes: number[] = [];
  for (let i = 0; i < token.length; i++) {
    const hex = token[i] === '=' ? /^[0-9A-Fa-f]{2}/.exec(token.slice(i + 1, i + 3)) : null;
    if (hex) {
      bytes.push(Number.parseInt(hex[0], 16));
      i += 2;
    } else bytes.push(...new TextEncoder().encode(token[i]));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
