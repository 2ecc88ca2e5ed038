/** Replay of the log: 100 000 events read, checked and decoded, beside a plain consumer that only counts its messages. */
import { DeliverPolicy } from 'nats';
import { eventFilter, eventSubject, streams, type DomainEvent } from '@virtbus/shared';
import { encode, newId, tail, type Bus } from '@virtbus/shared/bus';
import { type Stack } from '@virtbus/testkit';
import { type Bench } from '../bench';
import { machineIsQuiet } from '../clock';
import { figure } from '../measure/figure';
import { atLeast, type Row } from '../measure/row';
import { defineMany } from './simulated-domains';

const events = 100_000;
/** Published before the first of them is acknowledged. */
const batch = 500;

export async function replayRows(bench: Bench, stack: Stack): Promise<Row[]> {
  const bus = await stack.connect();
  const [uuid] = await defineMany(bus, 1);
  const [first] = await stack.events(bus, uuid);
  // Their copies would read along.
  for (const copy of stack.domainServices) await copy.stop();
  await fill(await stack.connect(`host-${first!.host}`), first!);
  await machineIsQuiet();
  const reader = await stack.connect('reader');
  const ours: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < bench.runs(5); run++) {
    ours.push(await perSecond(() => replay(reader)));
    bare.push(await perSecond(() => consume(reader)));
  }
  return [
    {
      name: 'bus',
      metric: `events a second, replay of ${events}`,
      unit: '/s',
      ours: figure(ours),
      peerName: 'a plain consumer, nothing decoded',
      peer: figure(bare),
      goal: atLeast(50_000, '/s'),
    },
  ];
}

/** The log of a guest that does nothing but reboot, as its driver would publish it. */
async function fill(host: Bus, first: DomainEvent): Promise<void> {
  const { domain } = first;
  const subject = eventSubject({ uuid: domain.uuid, class: 'reboot', type: 'reboot', host: first.host });
  for (let revision = 1; revision <= events;) {
    const sent: Promise<unknown>[] = [];
    for (; sent.length < batch && revision <= events; revision++) {
      const event = { ...first, id: newId(), class: 'reboot', type: 'reboot', domain: { ...domain, revision } };
      sent.push(host.js.publish(subject, encode(event, 'json'), { msgID: event.id }));
    }
    await Promise.all(sent);
  }
}

async function replay(bus: Bus): Promise<void> {
  let revision = 0;
  for await (const { event } of tail(bus, { filter: filter(), since: 'all', once: true })) {
    if (event.domain.revision !== ++revision) throw new Error(`event ${revision} is missing in the replay`);
  }
  if (revision !== events) throw new Error(`${revision} of ${events} events were replayed`);
}

async function consume(bus: Bus): Promise<void> {
  const options = { filterSubjects: filter(), deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 1 };
  const consumer = await bus.js.consumers.get(streams.events, options);
  const messages = await consumer.consume({ max_messages: 5_000 });
  let count = 0;
  for await (const _message of messages) if (++count === events) break;
  messages.stop();
}

const filter = (): string => eventFilter({ class: 'reboot' });

async function perSecond(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return (events * 1_000) / (performance.now() - began);
}
