/**
 * libvirt's migration cookies: written by one host of a migration, read by the other, with libvirt's rules for reading.
 *
 * Source: libvirt 11.3, `qemu_migration_cookie.c` as the facts of its behaviour.
 */
import { canonicalUuid, isVirtError } from '@virtbus/shared';
import { arrange } from '../passes/defaults/every-guest';
import { formatElement } from '../schema/format';
import { parseElement } from '../schema/parse';
import { readXml } from '../xml/reader';
import { cookieDocument, type MigrationCookie } from './elements';
import { isFeature, isReadIn, keepPartsOf, type CookieReader } from './parts';
import { fromWire, invalid, toWire } from './wire';

export { bitmapMapping, type BitmapMapping } from './bitmap-mapping';
export { cookieLimits } from './wire';
export type { CookieFeature, CookieReader } from './parts';
export type { MigrationCookie };

/** What the reader knows. */
export interface CookieContext {
  /** The domain that migrates; `name` as it is on the source. */
  name: string;
  uuid: string;
  /** Of the host that reads. */
  hostUuid: string;
  /** How disks are locked on the host that reads; `usesState`: what a lock's holder writes must travel along. */
  locks?: { driver: string; usesState: boolean } | undefined;
}

/** Reads a cookie in the phase that `reader` names, from a document. Throws `COOKIE_INVALID` in libvirt's words. */
export function parseCookie(xml: string, reader: CookieReader | 'any', context: CookieContext): MigrationCookie {
  const cookie = parsed(xml);
  checkIdentity(cookie, context);
  checkFeatures(cookie, reader);
  if (reader !== 'any') keepPartsOf(reader, cookie);
  if (reader === 'prepare') checkLocks(cookie, context);
  return cookie;
}

/** The document, written as libvirt does. */
export function formatCookie(cookie: MigrationCookie): string {
  return formatElement(cookieDocument, cookie, { view: 'inactive', secrets: true, migratable: true });
}

/** `parseCookie` of bytes. Undefined for an empty cookie, which is accepted and says nothing. */
export function readCookie(
  bytes: Uint8Array,
  reader: CookieReader,
  context: CookieContext,
  limit?: number,
): MigrationCookie | undefined {
  const xml = fromWire(bytes, limit);
  return xml === undefined ? undefined : parseCookie(xml, reader, context);
}

/** @param limit the most that the peer takes, bytes with the final NUL */
export function writeCookie(cookie: MigrationCookie, limit?: number): Uint8Array {
  return toWire(formatCookie(cookie), limit);
}

function parsed(xml: string): MigrationCookie {
  try {
    const { model } = parseElement(cookieDocument, readXml(xml), { mode: 'inactive', unknown: 'warn' });
    if (model.domain) arrange(model.domain);
    return model;
  } catch (error) {
    if (!isVirtError(error)) throw error;
    const { detail, line } = error.details as { detail?: string; line?: number };
    throw invalid(
      `${detail ?? error.message}${line === undefined ? '' : ` (line ${line} of the migration cookie)`}`,
      error,
    );
  }
}

function checkIdentity({ name, uuid, hostuuid }: MigrationCookie, context: CookieContext): void {
  if (name !== context.name) throw invalid(`Incoming cookie data had unexpected name ${name} vs ${context.name}`);
  if (uuid !== context.uuid) throw invalid(`Incoming cookie data had unexpected UUID ${uuid} vs ${context.uuid}`);
  const host = canonicalUuid(hostuuid);
  if (host === undefined) throw invalid('malformed hostuuid element in migration data');
  if (host === canonicalUuid(context.hostUuid)) {
    throw invalid(`Attempt to migrate guest to the same host ${hostuuid}`);
  }
}

function checkFeatures({ features }: MigrationCookie, reader: CookieReader | 'any'): void {
  for (const { name } of features) {
    if (!isFeature(name)) throw invalid(`Unknown migration cookie feature ${name}`);
    if (reader !== 'any' && !isReadIn(reader, name)) throw invalid(`Unsupported migration cookie feature ${name}`);
  }
}

function checkLocks({ lockstate }: MigrationCookie, { locks }: CookieContext): void {
  if (!locks) return;
  if (lockstate && lockstate.driver !== locks.driver) {
    throw invalid(`Source host lock driver ${lockstate.driver} different from target ${locks.driver}`);
  }
  if (!lockstate && locks.usesState) throw invalid(`Missing ${locks.driver} lock state for migration cookie`);
}
