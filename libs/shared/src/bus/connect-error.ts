/** Why a connection could not be made, in one line for whoever has to mend it. */
import { ErrorCode } from 'nats';
import { VirtError } from '../errors';
import type { Access } from './credentials';

const refusals = new Set<unknown>(['AUTHORIZATION_VIOLATION', 'AUTHENTICATION_EXPIRED', 'BAD_AUTHENTICATION']);
/** The client library has a code of its own for some refusals only. */
export const isRefusal = (error: unknown): boolean => {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return refusals.has(code) || (typeof message === 'string' && /user authentication revoked/i.test(message));
};

/** @param cause what the client library threw */
export function connectError(access: Pick<Access, 'url' | 'whyRefused'>, cause: unknown): VirtError {
  const { url } = access;
  if (isRefusal(cause)) return new VirtError('AUTH_FAILED', { detail: `${url}: ${access.whyRefused()}` }, { cause });
  const tls = tlsTrouble(cause);
  if (tls) return new VirtError('AUTH_FAILED', { detail: `${url}: ${tls}` }, { cause });
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VirtError(
    'RPC',
    { detail: `no NATS server at ${url} (${why}); start one with 'npm start', or set VIRTBUS_NATS_URL` },
    { cause },
  );
}

/** Node's names (tls: X509 certificate error codes). */
const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
]);

/** What is wrong when the two sides cannot agree on TLS; undefined when that is not the trouble. */
function tlsTrouble(cause: unknown): string | undefined {
  const { code, message, reason } = cause as { code?: string; message?: string; reason?: string };
  if (code === ErrorCode.ServerOptionNotAvailable) return 'the server speaks no TLS, and TLS is asked for';
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the server's certificate is for another name (${reason ?? message})`;
  if (code && untrusted.has(code)) {
    return "the server's certificate is of an authority that is not trusted here; VIRTBUS_NATS_CA names the right one";
  }
  return code?.startsWith('ERR_SSL_') || code?.startsWith('ERR_OSSL_') ? `TLS fails: ${message}` : undefined;
}
