/** A command that an earlier process of ours died over, of which a hypervisor that hung does not say at once how far it came. */
import type { Actor } from './actor';
import type { DomainRecord } from './record';

/** A guest that hangs keeps nobody waiting longer, milliseconds. */
export const patienceMs = 5_000;
/** Until a hypervisor that did not answer is asked again, milliseconds. */
export const againMs = 1_000;

/** Its end is known: it is the domain's command no longer. */
export function letPendingGo(actor: Actor, command: DomainRecord['pending']): void {
  if (actor.record.pending?.id === command?.id) actor.record.pending = undefined;
  actor.toldAhead = [];
}

/** It has come to nothing: whoever holds images for it hears of it by this. */
export function tellCameToNothing(actor: Actor, operation: string, command: DomainRecord['pending']): void {
  const data = { operation, error: 'the driver was started again over it' };
  actor.emit({ class: 'job', type: 'failed', data, cause: command ?? null });
}
