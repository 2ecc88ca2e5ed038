/** Users of the bus as a table. */
import type { UserRow } from '../commands/auth-users';
import type { Paint } from '../output';
import { table } from './table';

export function printUsers(users: readonly UserRow[], paint: Paint, now = Date.now()): string {
  const rows = users.map((user) => {
    const standing = standingOf(user, now);
    return [
      user.name,
      user.role === 'host' ? `host ${user.host}` : user.role,
      day(user.created),
      user.expires ? day(user.expires) : '-',
      standing === 'good' ? standing : paint('red', standing),
      user.seen ? (user.seen.connected ? `now, from ${user.seen.from}` : minute(user.seen.at)) : '-',
    ];
  });
  return table(['Name', 'Role', 'Created', 'Expires', 'State', 'Last seen'], rows, paint);
}

function standingOf({ revoked, expires }: UserRow, now: number): string {
  if (revoked) return `revoked ${day(revoked)}`;
  return expires && Date.parse(expires) <= now ? 'expired' : 'good';
}

const day = (time: string): string => time.slice(0, 10);
const minute = (time: string): string => time.slice(0, 16).replace('T', ' ');
