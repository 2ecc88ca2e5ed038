/** An event in one line. */
import type { CommandOutcome } from '@virtbus/shared';
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
  const time = event.time.replace('T', ' ').replace('Z', '');
  const style = styles[event.type];
  const type = style ? paint(style, event.type) : event.type;
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

const told = (value: unknown): string => safe(typeof value === 'string' ? value : JSON.stringify(value));

export function printOutcome({ operation, domain, time }: CommandOutcome): string {
  return `Command ${operation}${domain ? ` on domain '${safe(domain)}'` : ''} completed at ${time}`;
}
