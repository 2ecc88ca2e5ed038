/** A folder of certificates as QEMU reads it: an authority, a server and a client that it vouches for (openssl). */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';

/** @param names that the server proves to have: addresses, and names of hosts */
export function makeCertificates(folder: string, ...names: string[]): string {
  mkdirSync(folder, { mode: 0o755 });
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore', timeout: 30_000 });
  const key = (name: string): string[] => ['-newkey', 'rsa:2048', '-nodes', '-keyout', at(`${name}-key.pem`)];
  const authority = ['-addext', 'keyUsage=critical,keyCertSign', '-out', at('ca-cert.pem')];
  openssl('req', '-x509', ...key('ca'), '-days', '2', '-subj', '/CN=authority', ...authority);
  const issue = (name: 'server' | 'client', extensions: string): void => {
    writeFileSync(at('extensions'), `${extensions}\nextendedKeyUsage=${name}Auth\n`);
    openssl('req', '-new', ...key(name), '-subj', `/CN=${name}`, '-out', at('request'));
    const by = ['-CA', at('ca-cert.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial'];
    const out = ['-extfile', at('extensions'), '-days', '2', '-out', at(`${name}-cert.pem`)];
    openssl('x509', '-req', '-in', at('request'), ...by, ...out);
  };
  issue('server', `subjectAltName=${names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join()}`);
  issue('client', 'basicConstraints=CA:FALSE');
  for (const name of readdirSync(folder)) chmodSync(at(name), 0o644); // of the user that guests run as, too
  return folder;
}
