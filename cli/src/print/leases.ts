/** Leases as people read them. */
import type { HeldImage, listLeases, Response } from '@virtbus/shared';
import type { Paint } from '../output';
import { table } from './table';

export function printLeases({ leases, notAsked }: Response<typeof listLeases>, paint: Paint): string {
  const rows = leases.map((lease) => [lease.host, lease.name, lease.mode ?? '-', toldBy(lease), lease.path]);
  const missing = notAsked.map(({ host, reason }) => `the book of ${host} could not be read: ${reason}\n`);
  return table(['Host', 'Domain', 'Mode', 'Told by', 'Image'], rows, paint) + missing.join('');
}

export function printDropped(dropped: readonly HeldImage[], domain: string): string {
  if (dropped.length === 0) return `Domain ${domain} holds nothing\n`;
  return dropped.map(({ path, host }) => `${path} let go of on ${host}\n`).join('');
}

const toldBy = ({ book, fleet }: HeldImage): string =>
  [...(book ? ['book'] : []), ...(fleet ? ['fleet'] : [])].join(', ');
