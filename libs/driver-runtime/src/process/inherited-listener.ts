/**
 * A unix socket that we bind and a guest's process inherits: QEMU accepts its monitor's connections on it, other
 * processes only hold it.
 *
 * Because the socket listens before the process exists, we connect at once and need not poll for its file; when the
 * process dies, the connection reads its end.
 *
 * Node has no plain socket(): a `net.Server` binds for us. Two of its habits have to be kept away:
 * - it accepts as soon as the event loop turns. So listening, handing the descriptor to the child and closing the server
 *   happen in one synchronous stretch (`handOver`), and the loop never sees it;
 * - closing it unlinks the path that it bound. So it binds a staging name, which is renamed to the final one first.
 */
import { once } from 'node:events';
import { chmodSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

/** A unix socket's path, as the kernel bounds it. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Calls `handOver` with the descriptor of a socket that listens at `path`, mode 0600. `handOver` must pass it on
 * (spawn) before it returns: afterwards the descriptor is closed in this process.
 */
export async function withInheritedListener<Result>(path: string, handOver: (fd: number) => Result): Promise<Result> {
  const staging = `${path}.new`;
  if (Buffer.byteLength(staging) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(`socket path is longer than ${MAX_SOCKET_PATH_BYTES - 4} bytes: ${path}`);
  }
  rmSync(staging, { force: true });
  const server = createServer();
  const failed = once(server, 'error') as Promise<Error[]>;
  failed.catch(() => undefined);
  server.listen(staging);
  const fd = descriptorOf(server);
  if (fd === undefined) {
    const [cause] = await failed;
    throw new Error(`cannot listen on a socket for the guest: ${cause!.message}`, { cause });
  }
  try {
    chmodSync(staging, 0o600);
    const result = handOver(fd);
    renameSync(staging, path);
    return result;
  } finally {
    server.close();
  }
}

/** The bound handle is not in Node's documented surface, but is how `fork` itself passes servers on. */
function descriptorOf(server: Server): number | undefined {
  return (server as unknown as { _handle: { fd: number } | null })._handle?.fd;
}
