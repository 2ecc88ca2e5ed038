/** Timers of the guest's clock, of which several options speak. */
import type { Domain } from '../elements/domain';
import type { Draft, Sketch } from './draft';

type Timer = NonNullable<NonNullable<Sketch<Domain>['clock']>['timers']>[number];

/** One element a timer, whichever options speak of it. */
export function addTimer(domain: Draft['domain'], timer: Timer): void {
  const timers = domain.clock?.timers ?? [];
  const known = timers.find(({ name }) => name === timer.name);
  if (known) Object.assign(known, timer);
  else timers.push(timer);
  domain.clock = { ...domain.clock, timers };
}
