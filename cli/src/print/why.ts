/** The causes of a state, from the effect to the command. */
import type { Told, Why } from '../commands/why';
import { plain, type Paint } from '../output';
import { reasonWords, stateWords } from './state';
import { safe } from './table';

export function printWhy(why: Why, paint: Paint = plain): string {
  const name = paint('bold', safe(why.domain));
  const state = `${stateWords(why.state, paint)} (${reasonWords(why.reason)})`;
  if (!why.event) {
    const begins = why.logBegins ? `it begins at ${why.logBegins}` : 'it is empty';
    return `${name} is ${state} on ${why.host}; the event log does not tell why: ${begins}`;
  }
  const is = why.there ? 'is' : 'is no more; it was';
  const lines = [`${name} ${is} ${state} on ${why.event.host} since ${clock(why.event.time)}`];
  for (const one of [why.event, ...why.before.toReversed()]) {
    lines.push(`  ← event ${one.class} ${one.type}${one.detail ? ` (${reasonWords(one.detail)})` : ''}${end(one)}`);
    if (one.trigger) lines.push(`  ← ${safe(one.trigger)}`);
  }
  lines.push(`  ← ${origin(why.event)}`);
  return lines.join('\n');
}

/** How the process ended, where that is known. */
function end({ data }: Told): string {
  const { exitStatus, signal } = data ?? {};
  if (typeof exitStatus === 'number') return `: its process ended with exit status ${exitStatus}`;
  return typeof signal === 'number' ? `: its process was ended by signal ${signal}` : '';
}

function origin({ commandId, cause, trigger }: Told): string {
  if (!commandId) return trigger ? 'the guest itself: no command asked for it' : 'no command asked for it';
  const { operation = 'of unknown kind', caller, steps = [] } = cause ?? {};
  const by = caller === undefined ? '' : caller === 'queue' ? ' out of the queue' : ` from ${caller}`;
  const did = steps.length > 0 ? `, which did ${steps.join(', ')}` : '';
  return `command ${operation} ${safe(commandId)}${safe(by)}${safe(did)}`;
}

const clock = (time: string): string => time.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
