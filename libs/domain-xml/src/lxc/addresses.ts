/** Internet addresses as far as a container's configuration needs them. */
import { isIP } from 'node:net';
import type { GuestRoute } from '../elements/guest-address';

export const isAddress = (text: string): boolean => isIP(text) !== 0;

/** Bits of the network when nobody says: the old classes for IPv4, 64 for IPv6. */
export function defaultPrefix(address: string): number {
  if (address.includes(':')) return 64;
  const first = Number(address.split('.')[0]);
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

export const isDefaultRoute = ({ address, prefix = 0, netmask }: GuestRoute): boolean =>
  (address === undefined || address === '0.0.0.0' || address === '::') &&
  prefix === 0 &&
  (netmask === undefined || netmask === '0.0.0.0');
