/**
 * Certificates of migrations and of backups that are read over the network: given to QEMU, and before that looked at, whether
 * they can work. Those of this host are held against its own authority, those of one side of a migration against the authority
 * of the other (names of files: libvirt's and QEMU's for x509).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { VirtError, type MigrationRole } from '@virtbus/shared';
import type { QemuGuest } from './guest';

/** Where they are when nobody names a folder: libvirt's place. */
export const certificateFolder = '/etc/pki/qemu';

const wrong = (detail: string): VirtError => new VirtError('CONFIG_UNSUPPORTED', { detail });

/** Who listens shows the server's certificate, who connects the client's: the source of a migration does. */
export type TlsEnd = 'client' | 'server';

/** What the other side needs to judge ours: public, in PEM. */
export interface Shown {
  authority: string;
  certificate: string;
}

/**
 * The certificates of this side.
 * @throws CONFIG_UNSUPPORTED for those that are missing, expired, without their key, or not of their own authority
 */
export function showCertificates(folder: string = certificateFolder, name: TlsEnd): Shown {
  const file = (one: string): string => {
    try {
      return readFileSync(join(folder, one), 'utf8');
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : 'cannot be read';
      throw wrong(`TLS certificate ${join(folder, one)} ${why}; name another folder, or make it`);
    }
  };
  const shown = { authority: file('ca-cert.pem'), certificate: file(`${name}-cert.pem`) };
  const own = read(shown.certificate, join(folder, `${name}-cert.pem`));
  if (!own.checkPrivateKey(createPrivateKey(file(`${name}-key.pem`)))) {
    throw wrong(`TLS certificate ${join(folder, `${name}-cert.pem`)} does not belong to its key`);
  }
  mustTrust(shown.authority, shown.certificate, `TLS certificate ${join(folder, `${name}-cert.pem`)}`);
  return shown;
}

/** Have QEMU read the certificates. Who is at the other end has to show one too. @param id that QEMU's commands name them by */
export async function addCredentials(
  guest: QemuGuest,
  { id, folder = certificateFolder, end }: { id: string; folder?: string | undefined; end: TlsEnd },
  signal: AbortSignal,
): Promise<void> {
  const props = { 'qom-type': 'tls-creds-x509', id, dir: folder, endpoint: end, 'verify-peer': true };
  await guest.ask('object-add', props, signal);
}

/**
 * The other side trusts this one.
 * @param name that the server must prove, for the certificate of a target
 * @throws CONFIG_UNSUPPORTED
 */
export function mustBeTrusted(certificate: string, authority: string, whose: MigrationRole, name?: string): void {
  const what = `the TLS certificate of the ${whose}`;
  mustTrust(authority, certificate, what);
  if (name === undefined) return;
  const own = read(certificate, what);
  const proves = isIP(name) ? own.checkIP(name) : own.checkHost(name);
  if (proves === undefined)
    throw wrong(`${what} is not for '${name}' (it is for ${own.subjectAltName ?? own.subject})`);
}

function mustTrust(authority: string, certificate: string, what: string): void {
  const own = read(certificate, what);
  const now = Date.now();
  if (Date.parse(own.validTo) < now) throw wrong(`${what} has expired (${own.validTo})`);
  if (Date.parse(own.validFrom) > now) throw wrong(`${what} is not valid before ${own.validFrom}`);
  // A chain is QEMU's to follow.
  if (pems(certificate).length > 1) return;
  const vouches = pems(authority).some((pem) => {
    const ca = read(pem, 'the TLS authority');
    return own.checkIssued(ca) && own.verify(ca.publicKey);
  });
  if (!vouches) throw wrong(`${what} is not signed by the authority that is to vouch for it (ca-cert.pem)`);
}

const pems = (text: string): string[] => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];

function read(pem: string, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw wrong(`${what} cannot be read as a certificate`);
  }
}
