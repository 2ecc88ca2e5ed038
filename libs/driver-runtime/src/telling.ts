/** What is told of a domain: an event, and the command that caused it. */
import type { DomainEvent, DomainSummary, EventCause } from '@virtbus/shared';
import { newId } from '@virtbus/shared/bus';
import type { EventNews } from './driver';

/** The command an effect belongs to. */
export interface Cause {
  id: string;
  operation: string;
  traceparent?: string | undefined;
  /** Who gave it. */
  caller?: string | undefined;
  /** What has been asked of the hypervisor for it so far. */
  steps?: readonly string[];
}

export interface NewEvent extends Omit<EventNews, 'caused'> {
  /** The command that caused it: the one being applied when left out, none when `null`. */
  cause?: (Pick<Cause, 'id'> & Partial<Cause>) | null | undefined;
}

/** @param of the domain as it is now */
export function eventOf(event: NewEvent, cause: NewEvent['cause'], host: string, of: DomainSummary): DomainEvent {
  return {
    id: newId(),
    class: event.class,
    type: event.type,
    ...(event.detail ? { detail: event.detail } : {}),
    time: new Date().toISOString(),
    host,
    ...(cause ? { commandId: cause.id } : {}),
    ...(cause?.traceparent ? { traceparent: cause.traceparent } : {}),
    ...(cause?.operation ? { cause: asTold(cause.operation, cause) } : {}),
    ...(event.trigger ? { trigger: event.trigger } : {}),
    domain: of,
    ...(event.data ? { data: event.data } : {}),
  };
}

function asTold(operation: string, { caller, steps = [] }: Partial<Cause>): EventCause {
  return { operation, ...(caller ? { caller } : {}), ...(steps.length > 0 ? { steps: [...steps] } : {}) };
}
