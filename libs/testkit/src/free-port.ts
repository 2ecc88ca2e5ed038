/**
 * Ports for servers of tests: below those that the kernel gives to anybody who asks for none (32768 and above), and of each
 * of the workers of one run of jest, up to three, its own. So a port stays its taker's, also while the server on it is down.
 */
import { createServer } from 'node:net';

const first = 10_000;
const ofEach = 4_000;
const own = first + ofEach * (Number(process.env['JEST_WORKER_ID'] ?? 0) % 4);
let given = Math.floor(Math.random() * ofEach);

/** A port of the loopback that nobody listens on; none is given twice in a row. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < ofEach; tried++) {
    const port = own + (given++ % ofEach);
    if (await isFree(port)) return port;
  }
  throw new Error(`all ports from ${own} to ${own + ofEach - 1} are taken`);
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
