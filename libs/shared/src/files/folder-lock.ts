/**
 * One service a state folder: two that wrote there would tell the same domain two stories.
 *
 * The lock is an abstract unix socket (unix(7)) named after the folder's device and inode, so that links and mounts of
 * the same folder meet. The kernel takes it away with the process, however that ends: it never has to be broken. It
 * reaches as far as the network namespace; containers that share a state folder must share that too.
 */
import { statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { VirtError } from '../errors';
import { makeFolder } from './replace';

/** How long the holder may take to tell its pid, milliseconds. */
const answerMs = 1_000;

/** Throws `RESOURCE_BUSY` with the pid of the process that has the folder. */
export async function lockFolder(folder: string): Promise<Disposable> {
  makeFolder(folder, 0o700);
  const { dev, ino } = statSync(folder);
  const name = `\0virtbus-${dev}-${ino}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(process.pid));
  });
  try {
    await listen(server, name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw new VirtError('SYSTEM_ERROR', { detail: `cannot lock ${folder}: ${String(cause)}` }, { cause });
    }
    const detail = `another service runs on this state folder (pid ${await pidOf(name)}): ${folder}`;
    throw new VirtError('RESOURCE_BUSY', { detail }, { cause });
  }
  server.unref();
  return { [Symbol.dispose]: () => void server.close() };
}

function listen(server: Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(name, () => resolve());
  });
}

function pidOf(name: string): Promise<string> {
  return new Promise((resolve) => {
    let told = '';
    const socket = connect(name);
    const tell = (): void => {
      socket.destroy();
      resolve(/^\d+$/.test(told) ? told : 'unknown');
    };
    socket.setTimeout(answerMs, tell);
    socket
      .on('data', (bytes) => (told += bytes.toString()))
      .once('end', tell)
      .once('error', tell);
  });
}
