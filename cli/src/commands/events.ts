/** `events`: the log of what happened, read back or followed; `outcome`: how a queued command ended. */
import type { CommandOutcome, DomainEvent, MoveEvent } from '@virtbus/shared';
import type { Bus, Logged } from '@virtbus/shared/bus';
import { busModule, shared } from '../lazy';
import { printLogged, printOutcome } from '../print/events';
import { argument, choice, command, example, flag, number, UsageError, value } from '../spec';
import { parseSince } from '../times';
import { fail } from '../failure';

const options = {
  follow: { ...flag('go on as events happen, until Ctrl-C'), short: 'f' },
  since: value('WHEN', 'all, new, a sequence, an age (10m, 2h, 1d) or a time (RFC 3339)'),
  about: choice(
    ['domain', 'migration', 'drain'],
    'what they are about: domains when left out, phases of migrations, drains',
  ),
  domain: value('NAME', 'of this domain, by name or uuid', 'domain'),
  host: value('HOST', 'of this host', 'host'),
  class: value('CLASS', 'of this class: lifecycle, device, job, …'),
  type: value('TYPE', 'of this type: started, stopped, …'),
  count: number('N', 'end after so many', 1),
};

export const events = command({
  name: 'events',
  aliases: ['event'],
  group: 'monitor',
  summary: 'Print the event log, from any point in it, and follow it',
  about:
    'Without --follow it prints what is stored (--since all) and ends. With --follow it begins with what is new, or ' +
    "where --since says, and misses nothing in between. A 'list' tells as of which sequence it holds: follow from the next. " +
    'A domain named by its uuid is picked out by the server, one named by its name here, under every uuid it has had.',
  args: {},
  options,
  examples: [
    example('events --follow', 'what happens from now on'),
    example('events --since 10m --domain web1', 'ten minutes of one domain'),
    example('events --since 1842 --follow --json', 'for a program that remembers where it was'),
    example('events --follow --type stopped --count 1', 'wait for the next stop'),
    example('events --about migration --domain web1', 'each phase of its moves'),
  ],
  async run({ args: _args, options: chosen, globals, session, out }) {
    const { canonicalUuid, eventFilter, moveEventFilter } = shared();
    const { about = 'domain' } = chosen;
    const host = hostName(chosen.host);
    const uuid = chosen.domain ? canonicalUuid(chosen.domain) : undefined;
    const of = defined({ host, class: token(chosen.class, '--class'), type: token(chosen.type, '--type') });
    if (about !== 'domain' && of.class) throw new UsageError(`events about a ${about} have no classes`);
    if (about === 'drain' && chosen.domain) throw new UsageError('a drain is about a host: name it with --host');
    const filter =
      about === 'domain'
        ? eventFilter({ ...of, ...(uuid && { uuid }) })
        : moveEventFilter({ ...of, entity: about, ...(uuid && { of: uuid }) });
    const since = parseSince(chosen.since ?? (chosen.follow ? 'new' : 'all'));
    if (since === 'new' && !chosen.follow)
      throw new UsageError('--since new needs --follow: nothing is stored after now');
    const over = new AbortController();
    const end = (): void => over.abort();
    process.once('SIGINT', end).once('SIGTERM', end);
    session.atEnd(() => void process.off('SIGINT', end).off('SIGTERM', end));
    const timer = globals.timeout === undefined ? undefined : setTimeout(end, globals.timeout * 1_000);
    const onReset = (): void => out.note('note: the event log was made anew; what it held before is gone');
    const { tail, tailMoves } = busModule();
    const log: AsyncIterable<Logged<DomainEvent | MoveEvent>> = (about === 'domain' ? tail : tailMoves)(
      await session.bus(),
      {
        filter,
        since,
        once: !chosen.follow,
        signal: over.signal,
        onReset,
      },
    );
    let left = chosen.count ?? Infinity;
    for await (const logged of log) {
      if (chosen.domain && !uuid && nameIn(logged.event) !== chosen.domain) continue;
      out.item(forPrograms(logged), () => printLogged(logged, out.paint));
      if (--left <= 0) break;
    }
    clearTimeout(timer);
  },
});

const nameIn = (event: DomainEvent | MoveEvent): string | undefined =>
  'entity' in event ? (event.entity === 'migration' ? event.name : undefined) : event.domain.name;

const forPrograms = ({ event, sequence, subject }: Logged<DomainEvent | MoveEvent>): object => ({
  sequence,
  subject,
  ...event,
});

const defined = <T extends object>(from: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(from).filter(([, each]) => each !== undefined)) as never;

/** One token of a subject: nothing that NATS reads as a wildcard or a separator. */
function token(text: string | undefined, name: string): string | undefined {
  if (text === undefined || /^[a-z][a-z-]*$/.test(text)) return text;
  throw new UsageError(`${name}: '${text}' is no class or type of events`);
}

function hostName(text: string | undefined): string | undefined {
  if (text === undefined || shared().HostName.safeParse(text).success) return text;
  throw new UsageError(`--host: '${text}' is no name of a host: letters, digits, - and _, at most 63 of them`);
}

export const outcome = command({
  name: 'outcome',
  group: 'monitor',
  summary: 'Print how a queued command ended',
  about:
    'Exit code 1 when it failed, 4 when it has not ended yet (with --wait: within --timeout seconds, 60 when left out).',
  args: { commandId: argument('the id that --queue printed') },
  options: { wait: flag('wait until it has ended') },
  examples: [
    example('outcome 6f1ed002ab5595859014ebf0951522d9', 'has it ended, and how?'),
    example('outcome 6f1ed002ab5595859014ebf0951522d9 --wait --timeout 300', 'wait for it'),
  ],
  async run({ args, options: { wait }, globals, session, out }) {
    const deadline = Date.now() + (wait ? (globals.timeout ?? 60) * 1_000 : 0);
    const bus = await session.bus();
    let found = await readOutcome(bus, args.commandId);
    while (!found && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      found = await readOutcome(bus, args.commandId);
    }
    if (!found) {
      const detail = `command '${args.commandId}' has not ended, or there is none of this id`;
      throw fail('OPERATION_TIMEOUT', { detail });
    }
    const ended = found;
    if (ended.error) throw shared().VirtError.fromBody(ended.error);
    out.show(ended, () => printOutcome(ended));
  },
});

async function readOutcome(bus: Bus, id: string): Promise<CommandOutcome | undefined> {
  const { decode, isMissing } = busModule();
  const { outcomeSubject, streams } = shared();
  const jsm = await bus.jsm();
  for (const ended of ['completed', 'failed'] as const) {
    try {
      const stored = await jsm.streams.getMessage(streams.events, { last_by_subj: outcomeSubject(id, ended) });
      return decode(stored.data) as CommandOutcome;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return undefined;
}
