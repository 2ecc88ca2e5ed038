/** A host that is being emptied, in words: a line while it runs, and each guest. */
import type { Drain } from '@virtbus/shared';
import { plain } from '../output';
import { safe, table } from './table';

/** `Drain of h1: 3 of 7 moved, 2 moving, 1 waiting, 1 stays`. */
export function drainLine({ host, counts, guests }: Drain): string {
  const { moved = 0, moving = 0, waiting = 0, stays = 0, gone = 0 } = counts;
  const parts = [
    [moving, 'moving'],
    [waiting, 'waiting'],
    [stays, stays === 1 ? 'stays' : 'stay'],
    [gone, 'gone'],
  ] as const;
  const others = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  return [`Drain of ${host}: ${moved} of ${guests.length} moved`, ...others].join(', ');
}

const ends: Record<Drain['state'], string> = {
  running: 'is being drained',
  drained: 'is empty',
  incomplete: 'is not empty',
  aborted: 'was not drained to the end',
};

export function printDrain(drain: Drain): string {
  const { host, state, guests, reasons: unknown = [] } = drain;
  const head = [`Host '${host}' ${ends[state]}. ${drainLine(drain)}`, ...unknown.map(safe)].join('\n');
  if (guests.length === 0) return head;
  const rows = guests.map(({ name, active, state: at, target }) => [
    safe(name),
    active ? 'runs' : 'shut off',
    at,
    target ?? '',
  ]);
  const why = guests.flatMap(({ name, reasons }) => reasons.map((reason) => `${safe(name)}: ${safe(reason)}`));
  return [
    head,
    '',
    table(['Domain', 'Is', 'State', 'Target'], rows, plain),
    ...(why.length > 0 ? ['', ...why] : []),
  ].join('\n');
}
