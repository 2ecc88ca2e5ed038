/** `why`: from a domain's state back to the event, what the hypervisor told, and the command that caused it. */
import type { DomainEvent, DomainSummary } from '@virtbus/shared';
import type { Logged } from '@virtbus/shared/bus';
import { fail } from '../failure';
import { busModule, shared } from '../lazy';
import { printWhy } from '../print/why';
import type { Session } from '../session';
import { command, domain, example } from '../spec';

/** What led to a state: the event that tells of it, and those of the same command before. */
export interface Why {
  domain: string;
  uuid: string;
  host: string;
  /** As the event log has it last, where the domain is no more. */
  state: DomainSummary['state'];
  reason: string;
  /** Whether it still exists. */
  there: boolean;
  /** Absent when the log tells nothing of the state. */
  event?: Told;
  /** Other events of the same command, oldest first. */
  before: Told[];
  /** Where the log begins now; what was before is not known. */
  logBegins: string | undefined;
}

export type Told = { sequence: number } & Pick<
  DomainEvent,
  'class' | 'type' | 'detail' | 'time' | 'host' | 'commandId' | 'cause' | 'trigger' | 'traceparent' | 'data'
>;

export const why = command({
  name: 'why',
  group: 'monitor',
  summary: 'Explain how a domain came to be in its state',
  about:
    'From the event log: the event, what the hypervisor told that led to it, what was asked of the hypervisor before, and ' +
    'the command behind it with who gave it. What has been dropped from the log by its age is not known any more.',
  args: { domain },
  options: {},
  examples: [
    example('why web1', 'shut off since …: the guest shut down ← QMP SHUTDOWN … ← command shutdown 3f2… from operator'),
    example('why web1 --json', 'the same for a program'),
  ],
  async run({ args, session, out }) {
    const found = await explain(session, args.domain);
    out.show(found, () => printWhy(found, out.paint));
  },
});

async function explain(session: Session, target: string): Promise<Why> {
  const now = await present(session, target);
  const uuid = now?.uuid ?? shared().canonicalUuid(target);
  const { events, first } = await history(session, uuid, target);
  const last = events.at(-1)?.event.domain;
  const known = now ?? last;
  if (!known) throw fail('DOMAIN_NOT_FOUND', { domain: target });
  // A name may have had several lives: the last one counts.
  const its = events.filter(({ event }) => event.domain.uuid === known.uuid);
  const decisive = its.findLast((one) => tellsOf(one.event, known));
  const { name, host, state, reason } = known;
  return {
    ...{ domain: name, uuid: known.uuid, host, state, reason, there: now !== undefined },
    ...(decisive && { event: told(decisive) }),
    before: decisive ? its.filter((one) => leadsTo(one, decisive)).map(told) : [],
    logBegins: first,
  };
}

async function present(session: Session, target: string): Promise<DomainSummary | undefined> {
  try {
    return (await session.call('getDomain', {}, target)).domain;
  } catch (error) {
    if (shared().isVirtError(error, 'DOMAIN_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function history(
  session: Session,
  uuid: string | undefined,
  name: string,
): Promise<{ events: Logged[]; first: string | undefined }> {
  const bus = await session.bus();
  const filter = shared().eventFilter(uuid ? { uuid } : {});
  const events: Logged[] = [];
  for await (const logged of busModule().tail(bus, { filter, since: 'all', once: true })) {
    if (uuid || logged.event.domain.name === name) events.push(logged);
  }
  const jsm = await bus.jsm();
  const { state } = await jsm.streams.info(shared().streams.events);
  return { events, first: state.messages > 0 ? new Date(state.first_ts).toISOString() : undefined };
}

/** The last change of life, or the last event at all of a domain that is in the state it was defined in. */
function tellsOf({ class: kind, type, domain }: DomainEvent, known: DomainSummary): boolean {
  if (kind !== 'lifecycle' || domain.state !== known.state) return false;
  return type !== 'defined' || known.state === 'shutoff';
}

/** Of the same command, or news of the same end: what was told just before it. */
function leadsTo({ event, sequence }: Logged, decisive: Logged): boolean {
  if (sequence >= decisive.sequence) return false;
  if (decisive.event.commandId) return event.commandId === decisive.event.commandId;
  // What a command brought about is no cause of what nobody asked for.
  if (event.commandId) return false;
  const apart = Date.parse(decisive.event.time) - Date.parse(event.time);
  return event.domain.revision >= decisive.event.domain.revision - 3 && apart < 60_000 && event.trigger !== undefined;
}

function told({ event, sequence }: Logged): Told {
  const { class: kind, type, detail, time, host, commandId, cause, trigger, traceparent, data } = event;
  return { sequence, class: kind, type, detail, time, host, commandId, cause, trigger, traceparent, data };
}
