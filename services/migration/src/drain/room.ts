/** Whether a guest of a host that is being emptied can be sent off now, by the migrations that there are. */
import type { DrainLimits } from '@virtbus/shared';
import type { Saga } from '../journal';

/**
 * `full`: nobody can be sent off now. `held`: an earlier move of this guest has not ended for it, and others may go.
 * `busy`: hosts that have as many migrations as they may.
 */
export type Room = 'full' | 'held' | { busy: string[] };

export function roomFor(domain: string, host: string, limits: DrainLimits, sagas: readonly Saga[]): Room {
  if (sagas.some((saga) => saga.domain === domain && holds(saga, host))) return 'held';
  const under = sagas.filter(({ ledger }) => !ledger.settled);
  const of = (one: string): number =>
    under.filter(({ source, target }) => source.host === one || target.host === one).length;
  if (of(host) >= limits.perHost) return 'full';
  const peers = new Set(under.flatMap(({ source, target }) => [source.host, target.host]));
  const link = (peer: string): number =>
    under.filter((one) => [one.source.host, one.target.host].sort().join() === [host, peer].sort().join()).length;
  const busy = [...peers].filter(
    (peer) => peer !== host && (of(peer) >= limits.perHost || link(peer) >= limits.perLink),
  );
  return { busy };
}

/**
 * Until it is closed the guest may still be taken back, or let go of. Once its end is certain and only another host has yet to
 * be told, nothing of it is left on this one; and that host may never come back.
 */
function holds({ ledger, ...ends }: Saga, host: string): boolean {
  if (ledger.closed) return false;
  return !ledger.settled || !ledger.owes || ends[ledger.owes].host === host;
}
