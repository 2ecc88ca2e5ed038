/** Emptying a host, and letting domains onto it again. */
import type { Drain } from '@virtbus/shared';
import { fail } from '../failure';
import type { Output } from '../output';
import { drainLine, printDrain } from '../print/drains';
import type { Session } from '../session';
import { argument, command, example, flag, number, repeated, UsageError } from '../spec';
import { wayOf, wayOptions } from './migrate-options';

const everyMs = 500;
const host = argument('name of the host', 'host');

export const hostDrain = command({
  name: 'host-drain',
  group: 'host',
  summary: 'Move every guest away from a host, and place nothing new on it',
  about:
    'Guests that run move live, of those that are shut off the definition moves. Each that cannot move is named with every ' +
    'reason. Waits for the end; Ctrl-C leaves the drain to go on. Given again while it runs, it goes on with these ' +
    "limits and options. Exit code 1 when guests stay. The host takes no new domains until 'host undrain'.",
  args: { host },
  options: {
    to: repeated('HOST', 'only to this host; may be given more than once'),
    limitPerHost: number('N', 'migrations that one host takes part in at a time (4)', 1),
    limitPerLink: number('N', 'migrations between two hosts at a time (2)', 1),
    ...wayOptions,
    watch: flag('show how far it is, also where no terminal is'),
    detach: flag('answer as soon as it has begun'),
    status: flag('only show the drain that runs, or the last; with --watch, follow it'),
    abort: flag('move no more guests, and give up what is on its way; the host stays closed to new domains'),
  },
  gives: 'drainHost',
  examples: [
    example('host drain h1 --watch', 'empty a host, and see how far it is'),
    example('host drain h1 --to h2 --to h3 --limit-per-link 1', 'to these two, one at a time'),
    example('host drain h1 --status --json', 'each guest, and how many are where'),
    example('host drain h1 --abort', 'no further'),
  ],
  async run({ args, options: given, session, out }) {
    const { status, abort, detach, watch, limitPerHost: perHost, limitPerLink: perLink, to, ...way } = given;
    if (status && abort) throw new UsageError('--status does not go with --abort');
    const answer = status
      ? await session.call('showDrain', {}, args.host)
      : abort
        ? await session.call('abortDrain', {}, args.host)
        : await session.call(
            'drainHost',
            { ...wayOf(way), limits: { perHost, perLink }, ...(to.length > 0 && { to }) },
            args.host,
          );
    if (detach || (status && !watch)) {
      const words = (): string =>
        status ? printDrain(answer.drain) : `Drain ${answer.drain.id} of host '${args.host}' begun`;
      return out.show(answer, words);
    }
    const drain = await untilEnded(session, out, answer.drain, watch);
    out.show({ drain }, () => printDrain(drain));
    if (drain.state === 'incomplete') {
      throw fail('OPERATION_FAILED', { detail: whatIsLeft(drain) });
    }
    if (drain.state === 'aborted' && !abort) throw fail('OPERATION_ABORTED', { detail: 'the drain was given up' });
  },
});

export const hostUndrain = command({
  name: 'host-undrain',
  group: 'host',
  summary: 'Let domains be placed on a host again; a drain that runs is given up',
  args: { host },
  options: {},
  gives: 'undrainHost',
  examples: [example('host undrain h1', 'the host is back; what has moved stays where it is')],
  async run({ args, session }) {
    await session.give('undrainHost', {}, args.host, ({ drain }) =>
      drain?.state === 'running'
        ? `Drain of host '${args.host}' given up; it takes new domains again`
        : `Host '${args.host}' takes new domains again`,
    );
  },
});

function whatIsLeft({ host, counts, guests, reasons }: Drain): string {
  const stay = `${counts.stays} of ${guests.length} guests stay on host '${host}'`;
  return reasons ? `${stay}, and nobody knows of more: ${reasons.join('; ')}` : stay;
}

/** @param verbose tell how far it is also to who does not look at a terminal */
async function untilEnded(session: Session, out: Output, begun: Drain, verbose: boolean): Promise<Drain> {
  let drain = begun;
  let said = '';
  while (drain.state === 'running') {
    const line = drainLine(drain);
    if (out.watched) out.status(line);
    else if (verbose && line !== said) out.note(line);
    said = line;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
    ({ drain } = await session.call('showDrain', {}, begun.host));
  }
  out.clearStatus();
  return drain;
}
