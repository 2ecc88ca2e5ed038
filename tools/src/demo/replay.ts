/** A domain's log as it is kept in the stream. */
import { eventFilter, type DomainEvent } from '@virtbus/shared';
import { tail, type Bus } from '@virtbus/shared/bus';

/** Print the log, and check that revisions rise and that our commands are named as causes. */
export async function replay(
  bus: Bus,
  uuid: string,
  given: Map<string, string>,
  say: (line: string) => void,
): Promise<void> {
  let revision = 0;
  const causes = new Set<string>();
  for await (const { event, sequence } of tail(bus, { filter: eventFilter({ uuid }), since: 'all', once: true })) {
    if (event.domain.revision <= revision) throw new Error(`revision ${event.domain.revision} after ${revision}`);
    revision = event.domain.revision;
    if (event.commandId) causes.add(event.commandId);
    say(
      `  ${String(sequence).padStart(3)}  r${String(revision).padEnd(3)} ${nameOf(event).padEnd(28)} ${given.get(event.commandId ?? '') ?? ''}`,
    );
  }
  const silent = [...given].filter(([id]) => !causes.has(id)).map(([, operation]) => operation);
  if (silent.length > 0) throw new Error(`no event names the command ${silent.join(', ')} as its cause`);
}

const nameOf = (event: DomainEvent): string =>
  `${event.class} ${event.type}${event.detail ? ` (${event.detail})` : ''}`;
