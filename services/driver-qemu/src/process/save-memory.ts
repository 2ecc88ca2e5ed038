/**
 * Writes a guest's memory and device state into a file: QEMU migrates to a unix socket of ours, and we write.
 *
 * Passing the file itself would need SCM_RIGHTS (`getfd`), which Node lacks, or the `file:` transport of QEMU 8.2. The
 * socket works with every version, with the sandbox on and as an unprivileged user, shows progress, and gives the true
 * reason when writing fails.
 */
import { chmod, chown, rm, type FileHandle } from 'node:fs/promises';
import { addAbortListener, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type QmpClient } from '../qmp';
import { watchMigration } from './migration-end';

export interface SaveOptions {
  /** A free path for the socket, in a directory that QEMU may search; removed again. At most 107 bytes. */
  socketPath: string;
  /** Where in the file the stream begins; default 0. */
  start?: number;
  /** The user as whom QEMU runs, when that is not ours. */
  user?: { uid: number; gid: number };
  /** Called for each block written, with the bytes written so far. */
  onProgress?: (bytes: number) => void;
  /** Cancels, whenever it comes: QEMU is asked to stop and the guest can go on. */
  signal?: AbortSignal;
}

const BUFFER_BYTES = 4 * 1024 * 1024;
/** QEMU's default limit, 128 MiB/s, is meant for networks. */
const BYTES_PER_SECOND = 2 ** 40;

/**
 * Saves until the guest's whole state is handed to the file; the guest should be stopped. Call sync() on the file
 * yourself when your own header is written.
 * @returns the bytes of the stream.
 * @throws the write error (ENOSPC …), QEMU's reason, MonitorClosed, or the signal's reason. Unless QEMU is gone, its
 *   migration has ended by then and `cont` makes the guest go on.
 */
export async function saveMemory(qmp: QmpClient, file: FileHandle, options: SaveOptions): Promise<number> {
  const { signal } = options;
  signal?.throwIfAborted();
  await rm(options.socketPath, { force: true });
  const server = createServer();
  server.maxConnections = 1;
  try {
    server.listen(options.socketPath);
    await once(server, 'listening');
    await chmod(options.socketPath, 0o600);
    if (options.user) await chown(options.socketPath, options.user.uid, options.user.gid);
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': BYTES_PER_SECOND }, signal && { signal });
    const { end } = await watchMigration(qmp);
    const writing = once(server, 'connection').then(([socket]: Socket[]) => write(socket!, file, options));
    writing.catch(() => undefined);
    await qmp.execute('migrate', { uri: `unix:${options.socketPath}` });
    return await settle(qmp, end, writing, signal);
  } finally {
    server.close();
  }
}

/** Both must end well: QEMU has sent everything, and everything is in the file. */
async function settle(
  qmp: QmpClient,
  end: Promise<string>,
  writing: Promise<number>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let giveUp!: () => void;
  const aborted = new Promise<never>((_resolve, reject) => (giveUp = () => reject(signal!.reason as Error)));
  // Also when the signal was given while QEMU was told to begin.
  using _watch = signal && addAbortListener(signal, giveUp);
  try {
    // A stream that ends, well or by a hang-up, is QEMU's to explain; a file that cannot be written is not.
    const written = writing.catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') throw error;
    });
    const status = await Promise.race([end, written.then(() => end), aborted]);
    if (status === 'completed') return await writing;
    const { 'error-desc': reason } = await qmp.execute('query-migrate');
    // A failed write breaks QEMU's side too; ours knows why.
    await Promise.race([writing, new Promise((resolve) => setImmediate(resolve))]);
    throw new Error(`QEMU could not save the guest: ${reason ?? `migration ${status}`}`);
  } catch (error) {
    if (!qmp.failure) {
      await qmp.execute('migrate_cancel');
      await end;
    }
    throw error;
  }
}

async function write(socket: Socket, file: FileHandle, options: SaveOptions): Promise<number> {
  const start = options.start ?? 0;
  let bytes = 0;
  const append = async (blocks: Buffer[]): Promise<void> => {
    await writeAll(file, blocks, start + bytes);
    bytes += blocks.reduce((sum, block) => sum + block.length, 0);
    options.onProgress?.(bytes);
  };
  // Not an fs stream: those close the file when they end, and the file is the caller's.
  const sink = new Writable({
    highWaterMark: BUFFER_BYTES,
    writev: (pieces, done) => void append(pieces.map(({ chunk }) => chunk as Buffer)).then(() => done(), done),
  });
  await pipeline(socket, sink);
  return bytes;
}

/** The kernel may take less than it was given, on a nearly full disk for instance; the rest then gets its own answer. */
async function writeAll(file: FileHandle, blocks: Buffer[], position: number): Promise<void> {
  let { bytesWritten } = await file.writev(blocks, position);
  const all = blocks.reduce((sum, block) => sum + block.length, 0);
  while (bytesWritten < all) {
    const rest = Buffer.concat(blocks).subarray(bytesWritten);
    bytesWritten += (await file.write(rest, 0, rest.length, position + bytesWritten)).bytesWritten;
  }
}
