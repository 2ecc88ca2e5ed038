/** A file with what one user needs to connect, readable by its owner alone; `virtbus auth` writes one a user. */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { VirtError } from '../errors';

export const ContextFile = z.object({
  url: z.string().describe('one or more servers, comma separated'),
  role: z.string(),
  name: z.string(),
  nkey: z.string().describe('seed of the nkey: secret'),
  jwt: z.string().describe('who the nkey is, as the authority of the bus has signed it'),
  inboxPrefix: z.string(),
  ca: z.string().optional().describe("PEM of the authority that vouches for the servers; absent: the system's"),
});
export type ContextFile = z.infer<typeof ContextFile>;

/** Throws `AUTH_FAILED` with the path and what is wrong there. */
export function readContextFile(path: string): ContextFile {
  let parsed: unknown;
  try {
    if (statSync(path).mode & 0o077) {
      throw new VirtError('AUTH_FAILED', {
        detail: `credentials in ${path} can be read by others; run 'chmod 600 ${path}'`,
      });
    }
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof VirtError) throw cause;
    if (cause instanceof SyntaxError) throw new VirtError('AUTH_FAILED', { detail: `${path} is not JSON` }, { cause });
    throw unreadable(path, cause);
  }
  const context = ContextFile.safeParse(parsed);
  if (context.success) return context.data;
  const issue = context.error.issues[0];
  throw new VirtError('AUTH_FAILED', { detail: `${path}: ${issue?.path.join('.')}: ${issue?.message}` });
}

/** The bytes of a file that a setting names. Throws `AUTH_FAILED` when they cannot be read. */
export function readSecret(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): VirtError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read by you' : String(cause);
  return new VirtError('AUTH_FAILED', { detail: `the credentials file ${path} ${why}` }, { cause });
}
