/**
 * The live document: the definition as this one run has it, with what is chosen at start. Files and ports that are
 * found out only after the launch (terminals) are filled in then.
 */
import { createServer } from 'node:net';
import { prepareForStart, type Domain, type QemuCapabilities } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { GuestFolders } from '@virtbus/driver-runtime';

const firstScreenPort = 5900;
const lastScreenPort = 65535;

/** A copy to run, with its id, its sockets and its ports. */
export async function makeLive(
  definition: Domain,
  id: number,
  folders: GuestFolders,
  capabilities: QemuCapabilities,
): Promise<Domain> {
  const live = prepareForStart(definition, { channelDir: folders.run, capabilities });
  live.id = id;
  for (const graphics of live.devices.graphics) {
    const { type, autoport, port = -1, listens } = graphics;
    if (port > 0 || listens[0]?.type === 'socket') continue;
    if (type === 'vnc' || (type === 'spice' && autoport === true)) graphics.port = await freePort();
  }
  return live;
}

/** Ports given in this process, that their QEMU may not have bound yet. */
const given = new Map<number, number>();
const givenForMs = 30_000;

async function freePort(): Promise<number> {
  for (let port = firstScreenPort; port <= lastScreenPort; port++) {
    if (Date.now() - (given.get(port) ?? 0) < givenForMs) continue;
    if (!(await isFree(port))) continue;
    given.set(port, Date.now());
    return port;
  }
  throw new VirtError('OPERATION_FAILED', { detail: `no free port for a screen from ${firstScreenPort} on` });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
