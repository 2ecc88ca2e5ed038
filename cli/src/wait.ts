/** Waiting for what a command has begun: a domain's stop, told by the event log and never by a timer. */
import type { DomainSummary } from '@virtbus/shared';
import { busModule, shared } from './lazy';
import type { Session } from './session';
import { fail } from './failure';

/**
 * Runs `action` and waits until the domain has stopped. Looks at the event log from before the action on, so that no
 * stop is missed however quick it is. Throws `OPERATION_TIMEOUT` after `seconds`.
 */
export async function untilStopped(
  session: Session,
  target: string,
  seconds: number,
  action: () => Promise<unknown>,
): Promise<DomainSummary> {
  const { domain, asOf } = await session.call('getDomain', {}, target);
  await action();
  const { longestMs, tail } = busModule();
  const deadline = AbortSignal.timeout(Math.min(seconds * 1_000, longestMs));
  const filter = shared().eventFilter({ uuid: domain.uuid, class: 'lifecycle', type: 'stopped' });
  const log = tail(await session.bus(), { filter, since: { sequence: asOf + 1 }, signal: deadline });
  // A log that was put back, or lost and told anew, begins with what is past.
  for await (const { event } of log) if (shared().isNewer(event.domain, domain)) return event.domain;
  const detail = `domain '${domain.name}' has not stopped within ${seconds} s`;
  throw fail('OPERATION_TIMEOUT', { detail });
}
