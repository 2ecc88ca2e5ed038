/** Objects that carry secrets and TLS credentials into QEMU. */
import { unsupported, type Guest, type ObjectProps, type SecretRequest } from './context';

/** A secret, encrypted with the guest's master key. Throws CONFIG_UNSUPPORTED when there is no way to give QEMU secrets. */
export function secretObject({ context }: Guest, id: string, request: SecretRequest): ObjectProps {
  if (context.secret === undefined)
    return unsupported(
      `no secret can be given to this guest: ${describe(request)} is needed, but nothing supplies secrets`,
    );
  const { data, iv } = context.secret(request);
  return { 'qom-type': 'secret', id, data, keyid: 'masterKey0', iv, format: 'base64' };
}

const describe = ({ type, uuid, usage }: SecretRequest): string =>
  `the ${type} secret ${uuid ?? (usage === undefined ? '' : `for '${usage}'`)}`.trim();

export interface TlsOptions {
  readonly id: string;
  /** Folder with the x509 files. */
  readonly dir: string;
  readonly endpoint: 'server' | 'client';
  readonly verifyPeer: boolean;
  /** Object with the passphrase of the private key. */
  readonly passwordId?: string;
}

export function tlsCredentials({ id, dir, endpoint, verifyPeer, passwordId }: TlsOptions): ObjectProps {
  return {
    'qom-type': 'tls-creds-x509',
    id,
    dir,
    endpoint,
    'verify-peer': verifyPeer,
    ...(passwordId !== undefined && { passwordid: passwordId }),
  };
}
