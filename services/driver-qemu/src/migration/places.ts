/** Where a guest's memory and disks are sent: addresses as users give them and as QEMU takes them. */
import { hostname, networkInterfaces } from 'node:os';
import { isIPv6 } from 'node:net';
import { VirtError } from '@virtbus/shared';

export interface Place {
  host: string;
  port?: number | undefined;
}

/** `tcp:HOST[:PORT]` or `tcp://HOST[:PORT]`; an IPv6 address stands in brackets. Throws INVALID_ARG. */
export function parsePlace(uri: string): Place {
  const [, bracketed, plain, port] = /^tcp:(?:\/\/)?(?:\[([^\]]+)\]|([^:[\]/]+))(?::(\d{1,5}))?\/?$/.exec(uri) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) {
    const detail = `cannot send a guest to '${uri}': give tcp:HOST or tcp:HOST:PORT`;
    throw new VirtError('INVALID_ARG', { detail });
  }
  return { host, ...(port === undefined ? {} : { port: Number(port) }) };
}

/** As QEMU takes it. */
export const qemuUri = ({ host, port }: Place): string => `tcp:${isIPv6(host) ? `[${host}]` : host}:${port ?? ''}`;

/** How other hosts reach this one: what the operator says, else its name, else its first address on a network. */
export function ownAddress(configured: string | undefined): string {
  if (configured) return configured;
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal }) => !internal);
  const { address } = outside.find(({ family }) => family === 'IPv4') ?? outside[0] ?? {};
  if (address !== undefined) return address;
  const detail = `host '${hostname()}' has no address that others can reach; set VIRTBUS_MIGRATION_ADDRESS`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

/** Where a guest on its way here is listened for, when nobody says: everywhere. */
export const anywhere = (host: string): string => (isIPv6(host) ? '::' : '0.0.0.0');
