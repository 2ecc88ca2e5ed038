/** What all forms of network places share. */
import { StorageProtocol, VirtError, type Location, type StorageHost } from '@virtbus/shared';

export type NetworkLocation = Extract<Location, { type: 'network' }>;

/** @throws VirtError INTERNAL_ERROR */
export function protocolOf(name: string): StorageProtocol {
  const known = StorageProtocol.safeParse(name);
  if (!known.success) throw new VirtError('INTERNAL_ERROR', { detail: `invalid backing protocol '${name}'` });
  return known.data;
}

/** @throws VirtError INTERNAL_ERROR */
export function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port <= 65535)) throw new VirtError('INTERNAL_ERROR', { detail: `failed to parse port number '${text}'` });
  return port;
}

/** @throws VirtError INTERNAL_ERROR when the port is none */
export const tcpHost = (name: string, port?: string): StorageHost => ({
  transport: 'tcp',
  name,
  ...(port !== undefined && port !== '' && { port: portNumber(port) }),
});

/** `[::1]` without its brackets. */
export const unbracketed = (host: string): string => /^\[(.*)\]$/.exec(host)?.[1] ?? host;
