/** An event in one line. */
import type { CommandOutcome, DomainEvent, MoveEvent } from '@virtbus/shared';
import type { Logged } from '@virtbus/shared/bus';
import { plain, type Paint, type Style } from '../output';
import { reasonWords } from './state';
import { safe } from './table';

const styles: Record<string, Style> = {
  started: 'green',
  resumed: 'green',
  stopped: 'red',
  crashed: 'red',
  failed: 'red',
  suspended: 'yellow',
};

/** `2026-01-02 10:11:12.345     17  web1  lifecycle started (booted)  host=h1 revision=4 command=6f1ed002`. */
export function printEvent({ event, sequence }: Logged, paint: Paint = plain): string {
  const { time, type } = painted(event, paint);
  const detail = event.detail ? ` (${reasonWords(event.detail)})` : '';
  const rest = [
    `host=${event.host}`,
    `revision=${event.domain.revision}`,
    ...(event.commandId ? [`command=${safe(event.commandId.slice(0, 8))}`] : []),
    ...Object.entries(event.data ?? {}).map(([key, value]) => `${safe(key)}=${told(value)}`),
  ];
  const what = `${paint('bold', safe(event.domain.name))}  ${event.class} ${type}${detail}`;
  return `${paint('dim', time)}  ${String(sequence).padStart(6)}  ${what}  ${paint('dim', rest.join(' '))}`;
}

const painted = ({ time, type }: { time: string; type: string }, paint: Paint) => {
  const style = styles[type];
  return { time: time.replace('T', ' ').replace('Z', ''), type: style ? paint(style, type) : type };
};

export function printLogged(logged: Logged<DomainEvent | MoveEvent>, paint: Paint = plain): string {
  const { event, sequence } = logged;
  if (!('entity' in event)) return printEvent({ ...logged, event }, paint);
  const { time, type } = painted(event, paint);
  const [name, ...rest] = event.entity === 'migration' ? ofMigration(event) : ofDrain(event);
  const more = [...rest, `command=${event.commandId.slice(0, 8)}`].map(safe).join(' ');
  const what = `${paint('bold', safe(name!))}  ${event.entity} ${type}`;
  return `${paint('dim', time)}  ${String(sequence).padStart(6)}  ${what}  ${paint('dim', more)}`;
}

type Of<E extends MoveEvent['entity']> = Extract<MoveEvent, { entity: E }>;

const ofMigration = ({ name, source, target, migration, reason }: Of<'migration'>): string[] => [
  ...[name, `${source.host}->${target.host}`, `migration=${migration.slice(0, 8)}`],
  ...(reason === undefined ? [] : [`reason=${reason}`]),
];

function ofDrain({ host, guest, counts, state }: Of<'drain'>): string[] {
  if (!guest) return [host, `state=${state}`, ...Object.entries(counts).map(([each, count]) => `${each}=${count}`)];
  const { name, target, reasons } = guest;
  return [host, `domain=${name}`, ...(target ? [`to=${target}`] : []), ...reasons.map((reason) => `reason=${reason}`)];
}

const told = (value: unknown): string => safe(typeof value === 'string' ? value : JSON.stringify(value));

export function printOutcome({ operation, domain, time }: CommandOutcome): string {
  return `Command ${operation}${domain ? ` on domain '${safe(domain)}'` : ''} completed at ${time}`;
}
