/**
 * Certificates of the servers of a bus: made by a private authority (openssl), or given, and then looked at before a
 * server fails over them.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { isVirtError, VirtError } from '../errors';

export interface Files {
  cert: string;
  key: string;
}

const authorityDays = 3_650;
const serverDays = 825;

/** Make a private authority that vouches for the servers of one bus. */
export function makeAuthority(files: Files): void {
  openssl(['-days', String(authorityDays)], files, 'virtbus private authority', [
    'basicConstraints = critical, CA:TRUE, pathlen:0',
    'keyUsage = critical, keyCertSign, cRLSign',
  ]);
}

/** Make the certificate of a server: it shows it to clients, and to the other servers. */
export function makeServerCertificate(authority: Files, files: Files, name: string, host: string): void {
  // Clients of an address check the name they put into the handshake, and an address cannot stand there.
  const names = isIP(host) ? `IP:${host}, DNS:localhost` : `DNS:${host}`;
  const by = ['-CA', authority.cert, '-CAkey', authority.key];
  openssl(['-days', String(serverDays), ...by], files, name, [
    'basicConstraints = critical, CA:FALSE',
    'keyUsage = critical, digitalSignature',
    'extendedKeyUsage = serverAuth, clientAuth',
    `subjectAltName = ${names}`,
  ]);
}

/** Throws `INVALID_ARG` when a server could not use these files, or clients could not trust them. */
export function checkServerCertificate(files: Files & { ca: string }, hosts: readonly string[]): void {
  const ca = readCertificate(files.ca);
  const cert = readCertificate(files.cert);
  const bad = (why: string): VirtError => new VirtError('INVALID_ARG', { detail: `${files.cert}: ${why}` });
  const now = Date.now();
  if (Date.parse(cert.validTo) < now) throw bad(`the certificate expired on ${cert.validTo}`);
  if (Date.parse(cert.validFrom) > now) throw bad(`the certificate is not valid before ${cert.validFrom}`);
  if (!cert.checkPrivateKey(readKey(files.key))) throw bad(`the key in ${files.key} is of another certificate`);
  if (!cert.checkIssued(ca) || !cert.verify(ca.publicKey)) throw bad(`was not issued by the authority in ${files.ca}`);
  for (const host of hosts) {
    const named = isIP(host) ? cert.checkIP(host) : cert.checkHost(host);
    if (!named) throw bad(`is not for '${host}' (but for ${cert.subjectAltName ?? 'no name at all'})`);
  }
}

function readCertificate(path: string): X509Certificate {
  try {
    return new X509Certificate(readPem(path));
  } catch (cause) {
    throw unusable(path, 'certificate', cause);
  }
}

function readKey(path: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(readPem(path));
  } catch (cause) {
    throw unusable(path, 'private key', cause);
  }
}

function unusable(path: string, what: string, cause: unknown): VirtError {
  if (isVirtError(cause)) return cause;
  return new VirtError('INVALID_ARG', { detail: `${path} holds no ${what} in PEM form` }, { cause });
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : String(cause);
    throw new VirtError('INVALID_ARG', { detail: `${path} ${why}` }, { cause });
  }
}

/** A new key and a certificate for it; the configuration is all ours, the system's stays out of it. */
function openssl(options: string[], files: Files, name: string, extensions: string[]): void {
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', files.key];
  const config = `${files.cert}.cnf`;
  const content = [
    ...['[req]', 'distinguished_name = name', 'prompt = no', 'x509_extensions = extensions'],
    ...['[name]', `CN = ${name}`, '[extensions]', ...extensions, ''],
  ].join('\n');
  const args = ['req', '-x509', '-config', config, ...newKey, '-out', files.cert, ...options];
  writeFileSync(config, content, { mode: 0o600 });
  try {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
  } catch (cause) {
    const { code, stderr } = cause as NodeJS.ErrnoException & { stderr?: Buffer };
    const detail =
      code === 'ENOENT'
        ? 'openssl is not installed; install it, or bring certificates with --ca, --cert and --key'
        : `openssl made no certificate for ${name}: ${stderr?.toString().trim() || String(cause)}`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
  } finally {
    rmSync(config, { force: true });
  }
}
