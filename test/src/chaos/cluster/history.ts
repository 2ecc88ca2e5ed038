/** What the event log tells: whether each domain's events are all there, in order, and each command's effect is there once. */
import { type DomainEvent, type DomainSummary } from '@virtbus/shared';
import { tail, type Bus } from '@virtbus/shared/bus';
import type { Given } from './load';

export class History {
  events = 0;
  readonly faults: string[] = [];
  private readonly revisions = new Map<string, number>();
  private readonly effects = new Map<string, string[]>();

  constructor(private readonly who: string) {}

  take({ domain: { uuid, revision }, commandId, class: kind, type }: DomainEvent): void {
    this.events++;
    const before = this.revisions.get(uuid);
    if (before !== undefined && revision !== before + 1) {
      this.faults.push(`${this.who}: domain ${uuid} tells revision ${revision} after ${before}`);
    }
    this.revisions.set(uuid, revision);
    if (commandId !== undefined && kind === 'lifecycle') {
      this.effects.set(commandId, [...(this.effects.get(commandId) ?? []), type]);
    }
  }

  revisionOf(uuid: string): number {
    return this.revisions.get(uuid) ?? 0;
  }

  /** Commands that were acknowledged and are not in the log just once. */
  missing(given: readonly Given[]): string[] {
    return given.flatMap(({ id, uuid, operation }) => {
      const effects = this.effects.get(id) ?? [];
      const expected = operation === 'suspend' ? 'suspended' : 'resumed';
      if (effects.join() === expected) return [];
      return [`${this.who}: ${operation} of ${uuid} (${id}) was acknowledged and is told as [${effects.join()}]`];
    });
  }

  /** How many events the domains are ahead of what was read, all together. */
  lag(domains: readonly DomainSummary[]): number {
    return domains.reduce((sum, { uuid, revision }) => sum + Math.max(0, revision - this.revisionOf(uuid)), 0);
  }
}

/** Follows the log from a sequence until it is stopped. */
export function follow(bus: Bus, sequence: number): { history: History; stop: () => Promise<void> } {
  const history = new History('a follower');
  const stopped = new AbortController();
  const reading = (async () => {
    for await (const { event } of tail(bus, { since: { sequence }, signal: stopped.signal })) history.take(event);
  })();
  return {
    history,
    stop: () => {
      stopped.abort();
      return reading;
    },
  };
}

/** Reads what is stored from a sequence on. */
export async function readLog(bus: Bus, sequence: number): Promise<History> {
  const history = new History('the log');
  for await (const { event } of tail(bus, { since: { sequence }, once: true })) history.take(event);
  return history;
}
