/**
 * Gives a saved guest's memory and device state back to a QEMU that was started with `-incoming defer`.
 *
 * Two ways in, both working on every QEMU version, sandboxed and as another user:
 * - a plain file: QEMU inherits its descriptor at launch and reads by itself (five times as fast, none of our time);
 * - any stream, such as a decompressor's output: QEMU listens on a unix socket, we connect and send.
 */
import { once } from 'node:events';
import { rm, type FileHandle } from 'node:fs/promises';
import { connect } from 'node:net';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MonitorClosed, type QmpClient } from '../qmp';
import { watchMigration } from './migration-end';

export type SavedState =
  /** A descriptor in QEMU (FIRST_INHERITED_FD …) whose file stands at the beginning of the stream; see `skipTo`. */
  | { inheritedFd: number }
  /** `socketPath`: a free path where QEMU may create a socket, at most 107 bytes; removed again. */
  | { stream: Readable; socketPath: string };

export interface RestoreOptions {
  /** QEMU's last words (the tail of its log): it exits when it cannot load the stream. */
  lastWords?: () => string;
  /** Stops waiting. End QEMU then: a half-loaded guest is none. */
  signal?: AbortSignal;
}

/** From the failed migration to the end of the process. */
const EXIT_GRACE_MS = 1_000;

/** Moves the file's own position, which a child inherits, past a header of `bytes` by reading it. */
export async function skipTo(file: FileHandle, bytes: number): Promise<Buffer> {
  const header = Buffer.alloc(bytes);
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await file.read(header, at, bytes - at, null);
    if (bytesRead === 0) throw new Error(`the file ends within its first ${bytes} bytes`);
    at += bytesRead;
  }
  return header;
}

/**
 * Loads the state; the guest is paused afterwards.
 * @throws the stream's error, `QEMU could not load the saved guest: …` or the signal's reason. QEMU is unusable then.
 */
export async function restoreMemory(qmp: QmpClient, from: SavedState, options: RestoreOptions = {}): Promise<void> {
  let streamError: Error | undefined;
  let release = (): Promise<void> => Promise.resolve();
  try {
    const { end } = await watchMigration(qmp, options.signal);
    if ('stream' in from) release = await feed(qmp, from, options.signal, (error) => (streamError = error));
    else await qmp.execute('migrate-incoming', { uri: `fd:${from.inheritedFd}` });
    const status = await end;
    if (status !== 'completed') throw new MonitorClosed(`migration ${status}`);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (streamError) throw new Error(`cannot read the saved guest: ${streamError.message}`, { cause: streamError });
    if (!(error instanceof MonitorClosed)) throw error;
    // QEMU says that it has failed, then why, on its stderr, and exits.
    if (!qmp.isClosed) await once(qmp, 'close', { signal: AbortSignal.timeout(EXIT_GRACE_MS) }).catch(() => undefined);
    const words = options.lastWords?.();
    throw new Error(`QEMU could not load the saved guest: ${words || error.message}`, { cause: error });
  } finally {
    await release();
  }
}

/** @returns what ends the feeding. */
async function feed(
  qmp: QmpClient,
  { stream, socketPath }: { stream: Readable; socketPath: string },
  signal: AbortSignal | undefined,
  onStreamError: (error: Error) => void,
): Promise<() => Promise<void>> {
  stream.once('error', onStreamError);
  await rm(socketPath, { force: true });
  await qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` });
  const socket = connect(socketPath);
  // QEMU hangs up when it has what it needs. Whether that is all is said by its event, not by the socket.
  const feeding = pipeline(stream, socket, signal ? { signal } : {}).catch(() => undefined);
  return async () => {
    socket.destroy();
    await feeding;
    await rm(socketPath, { force: true });
  };
}
