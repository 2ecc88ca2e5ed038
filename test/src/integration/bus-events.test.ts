import { cpSync, writeFileSync } from 'node:fs';
import { eventFilter, type DomainEvent } from '@virtbus/shared';
import {
  connectBus,
  EventPublisher,
  Journal,
  lastEvent,
  lastSequence,
  tail,
  type Bus,
  type Logged,
} from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { eventually, startNatsServer } from '@virtbus/testkit';
import { BreakableLink } from './breakable-link';
import { BusStand, event, uuidOf } from './bus-stand';

jest.setTimeout(120_000);

let stand: BusStand;
let host: Bus;
const publishers: EventPublisher[] = [];
beforeEach(async () => {
  stand = await BusStand.start();
  host = await stand.as('host-h1');
});
afterEach(async () => {
  const stopping = publishers.splice(0).map((publisher) => publisher.stop());
  await stand[Symbol.asyncDispose]();
  await Promise.all(stopping);
});

/** The journal of a host and its publisher, as a driver has them. */
function publishing(folder = stand.folder.file('journal'), bus = host) {
  const journal = Journal.open(folder);
  const publisher = new EventPublisher(bus, journal, silent);
  publishers.push(publisher);
  publisher.start();
  const tell = (one: DomainEvent): void => {
    journal.append(one);
    publisher.kick();
  };
  return { journal, publisher, tell };
}
const told = ({ domain }: DomainEvent): string => `${domain.uuid.slice(-1)}:${domain.revision}`;
const stored = async (): Promise<DomainEvent[]> => {
  const found: DomainEvent[] = [];
  for await (const { event: one } of tail(await stand.as('reader'), { since: 'all', once: true })) found.push(one);
  return found;
};
/** Events of `domains` domains in turn, each domain's revisions rising from `from`. */
const events = (count: number, domains = 4, from = 1): DomainEvent[] =>
  Array.from({ length: count }, (_, n) =>
    event({ uuid: uuidOf(n % domains), revision: from + Math.floor(n / domains) }),
  );
function expectOrder(of: readonly DomainEvent[]): void {
  const last = new Map<string, number>();
  for (const { domain } of of) {
    expect(domain.revision).toBeGreaterThan(last.get(domain.uuid) ?? 0);
    last.set(domain.uuid, domain.revision);
  }
}

describe('the publisher', () => {
  test('brings the journal to the stream: each event once, in order per domain, as JSON with CloudEvents headers', async () => {
    const { journal, tell } = publishing();
    const all = events(500);
    all.forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    const found = await stored();
    expect(found.map(told).sort()).toEqual(all.map(told).sort());
    expectOrder(found);
    const admin = await stand.as('admin');
    const message = await (await admin.jsm()).streams.getMessage('VIRTBUS_EVENTS', { seq: 1 });
    expect(JSON.parse(new TextDecoder().decode(message.data))).toEqual(found[0]);
    expect(Object.fromEntries([...message.header].map(([key, [value]]) => [key, value]))).toMatchObject({
      'ce-specversion': '1.0',
      'ce-id': found[0]!.id,
      'ce-type': 'virtbus.domain.lifecycle.started',
      'ce-source': '/hosts/h1',
      'ce-subject': found[0]!.domain.uuid,
    });
  });

  test('loses and repeats nothing of 200 events that happen while the server is dead', async () => {
    const { journal, tell } = publishing();
    const all = events(260);
    all.slice(0, 30).forEach(tell);
    await eventually(() => journal.pending.length, 0);
    await stand.server.kill9();
    const deadline = Date.now() + 3_000;
    let next = 30;
    await eventually(
      () => {
        for (let n = 0; n < 10 && next < 230; n++) tell(all[next++]!);
        return next === 230 && Date.now() > deadline;
      },
      true,
      { timeoutMs: 60_000 },
    );
    expect(journal.pending.length).toBe(200);
    await stand.server.restart();
    all.slice(230).forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    const found = await stored();
    expect(found.map(told).sort()).toEqual(all.map(told).sort());
    expectOrder(found);
  });

  test('killed between publishing and noting it, publishes nothing twice: not even beyond the dedupe window', async () => {
    const folder = stand.folder.file('journal');
    const first = publishing(folder);
    events(40).forEach(first.tell);
    await eventually(() => first.journal.pending.length, 0);
    await first.publisher.stop();
    cpSync(folder, stand.folder.file('rolled-back'), { recursive: true });
    // The note of what was acknowledged is older than the stream, as if the process had died before it wrote it.
    writeFileSync(stand.folder.file('rolled-back', 'acked'), '7');
    await forgetIds();
    const second = publishing(stand.folder.file('rolled-back'));
    expect(second.journal.pending.length).toBe(33);
    second.tell(event({ uuid: uuidOf(0), revision: 11 }));
    await eventually(() => second.journal.pending.length, 0);
    const found = await stored();
    expect(found).toHaveLength(41);
    expectOrder(found);
  });

  /** The server forgets message ids with its window; a window of a moment stands for an hour of absence. */
  async function forgetIds(): Promise<void> {
    const jsm = await (await stand.as('admin')).jsm();
    const { config } = await jsm.streams.info('VIRTBUS_EVENTS');
    await jsm.streams.update('VIRTBUS_EVENTS', { ...config, duplicate_window: 100_000_000 });
    const forgotten = performance.now() + 300;
    await eventually(() => performance.now() > forgotten, true);
  }

  test('tells a stream that was wiped what the journal still has of the last month, and what comes', async () => {
    const { journal, tell } = publishing();
    const old = event({ uuid: uuidOf(8) }, { time: new Date(Date.now() - 31 * 86_400_000).toISOString() });
    const all = events(60);
    [old, ...all.slice(0, 40)].forEach(tell);
    await eventually(() => journal.pending.length, 0);
    await stand.server.wipe();
    all.slice(40).forEach(tell);
    await stand.makeStreams();
    await eventually(async () => (await stored()).length, 60, { timeoutMs: 60_000 });
    await eventually(() => journal.pending.length, 0);
    const found = await stored();
    expect(found.map(told).sort()).toEqual(all.map(told).sort());
    expectOrder(found);
  });

  test('tells again what the stream had acknowledged and lost, and nothing else', async () => {
    const h2 = publishing(stand.folder.file('h2'), await stand.as('host-h2'));
    const other = event({ host: 'h2', uuid: uuidOf(9), revision: 1 });
    h2.tell(other);
    const { journal, tell } = publishing();
    const all = events(60);
    all.slice(0, 20).forEach(tell);
    await eventually(() => journal.pending.length + h2.journal.pending.length, 0);
    const backup = stand.folder.file('backup');
    await stand.server.backUp(backup);
    all.slice(20, 50).forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    // As after the power cut of a server that had flushed the first twenty alone.
    await stand.server.restoreFrom(backup);
    await forgetIds();
    await eventually(async () => (await stored()).length, 51, { timeoutMs: 60_000 });
    all.slice(50).forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    const found = await stored();
    expect(found.map(told).sort()).toEqual([other, ...all].map(told).sort());
    expectOrder(found);
  });

  test('a process that starts after the loss tells of it, too; one that starts after none tells nothing again', async () => {
    const folder = stand.folder.file('journal');
    const first = publishing(folder);
    const all = events(20);
    all.forEach(first.tell);
    await eventually(() => first.journal.pending.length, 0);
    await first.publisher.stop();
    await forgetIds();
    const second = publishing(folder);
    const more = event({ uuid: uuidOf(7), revision: 1 });
    second.tell(more);
    await eventually(() => second.journal.pending.length, 0);
    await second.publisher.stop();
    expect((await stored()).map(told).sort()).toEqual([...all, more].map(told).sort());
    await stand.server.wipe();
    await stand.makeStreams();
    publishing(folder);
    await eventually(async () => (await stored()).map(told).sort(), [...all, more].map(told).sort(), {
      timeoutMs: 60_000,
    });
  });

  test('loses nothing when the stream comes into being while it publishes', async () => {
    const jsm = await (await stand.as('admin')).jsm();
    await jsm.streams.delete('VIRTBUS_EVENTS');
    const { journal, tell } = publishing();
    const all = events(400, 3);
    let next = 0;
    const telling = eventually(
      () => {
        for (let n = 0; n < 5 && next < all.length; n++) tell(all[next++]!);
        return next;
      },
      all.length,
      { timeoutMs: 60_000, intervalMs: 5 },
    );
    await eventually(() => next > 100, true);
    await stand.makeStreams();
    await telling;
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    const found = await stored();
    expect(found.map(told).sort()).toEqual(all.map(told).sort());
    expectOrder(found);
  });

  test('publishes events of a domain that came here from another host under a new epoch', async () => {
    const h2 = publishing(stand.folder.file('h2'), await stand.as('host-h2'));
    h2.tell(event({ host: 'h2', epoch: 1, revision: 50 }));
    await eventually(() => h2.journal.pending.length, 0);
    const h1 = publishing();
    h1.tell(event({ host: 'h1', epoch: 2, revision: 3 }));
    await eventually(() => h1.journal.pending.length, 0);
    expect((await stored()).map(({ domain }) => [domain.host, domain.revision])).toEqual([
      ['h2', 50],
      ['h1', 3],
    ]);
  });
});

describe('following the event log', () => {
  /** Follow in the background; `stop` ends it. */
  async function follow(options: Partial<Parameters<typeof tail>[1]> = {}, url?: string) {
    const bus = await stand.as('reader', url);
    const seen: Logged[] = [];
    const stopping = new AbortController();
    let resets = 0;
    const done = (async () => {
      const how = { since: 'all' as const, ...options, signal: stopping.signal, onReset: () => void resets++ };
      for await (const one of tail(bus, how)) seen.push(one);
    })();
    return {
      seen,
      told: () => seen.map((one) => told(one.event)),
      resets: () => resets,
      stop: async () => {
        stopping.abort();
        await done;
      },
    };
  }
  async function fill(all: readonly DomainEvent[]): Promise<void> {
    const { journal, publisher, tell } = publishing(stand.folder.file(`j${publishers.length}`));
    all.forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    await publisher.stop();
  }
  const until = (seen: () => unknown[], count: number): Promise<unknown> =>
    eventually(() => seen().length, count, { timeoutMs: 60_000 });

  test('from the beginning, from a sequence, from a time, and from now on', async () => {
    await fill(events(6, 1));
    const middle = new Date();
    await eventually(() => new Date() > middle, true);
    const sequence = await lastSequence(await stand.as('reader'));
    const fresh = await follow({ since: 'new' });
    const whole = await follow();
    await until(() => whole.seen, 6);
    await fill(events(3, 1, 7));
    await until(() => fresh.seen, 3);
    await until(() => whole.seen, 9);
    expect(whole.seen.map((one) => one.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const since = await follow({ since: { sequence: sequence - 1 } });
    const timed = await follow({ since: { time: middle } });
    await until(() => since.seen, 5);
    await until(() => timed.seen, 3);
    expect(fresh.told()).toEqual(['0:7', '0:8', '0:9']);
    expect(timed.told()).toEqual(fresh.told());
    expect(since.told()).toEqual(['0:5', '0:6', '0:7', '0:8', '0:9']);
    for (const one of [fresh, whole, since, timed]) await one.stop();
  });

  test('ends, when asked to, with what is stored: also when that is nothing', async () => {
    const once = async (more: object = {}): Promise<string[]> => {
      const found: string[] = [];
      const bus = await stand.as('reader');
      for await (const one of tail(bus, { since: 'all', once: true, ...more })) found.push(told(one.event));
      return found;
    };
    expect(await once()).toEqual([]);
    await fill(events(8, 2));
    expect(await once()).toHaveLength(8);
    expect(await once({ filter: eventFilter({ uuid: uuidOf(1) }) })).toEqual(['1:1', '1:2', '1:3', '1:4']);
    expect(await once({ filter: eventFilter({ uuid: uuidOf(9) }) })).toEqual([]);
    expect(await once({ filter: eventFilter({ host: 'h2' }) })).toEqual([]);
    expect(await once({ since: { sequence: 8 } })).toHaveLength(1);
    expect(await once({ since: { sequence: 9 } })).toEqual([]);
    expect(await once({ since: { sequence: 999 } })).toEqual([]);
    await stand.server.wipe();
    expect(await once()).toEqual([]);
  });

  test('goes on after the death of the server, without loss or repetition', async () => {
    const reader = await follow();
    const { journal, tell } = publishing();
    const all = events(300, 3);
    all.slice(0, 100).forEach(tell);
    await until(() => reader.seen, 100);
    await stand.server.kill9();
    all.slice(100, 200).forEach(tell);
    await stand.server.restart();
    all.slice(200).forEach(tell);
    await eventually(() => journal.pending.length, 0, { timeoutMs: 60_000 });
    await until(() => reader.seen, 300);
    expect(reader.told().sort()).toEqual(all.map(told).sort());
    expectOrder(reader.seen.map((one) => one.event));
    expect(reader.resets()).toBe(0);
    await reader.stop();
  });

  test.each([
    ['shorter than', 3],
    ['longer than', 60],
  ])('tells of a stream that was wiped and made anew %s before, and begins again at its start', async (_how, count) => {
    await fill(events(20, 1));
    const reader = await follow();
    await until(() => reader.seen, 20);
    await stand.server.wipe();
    await stand.makeStreams();
    await fill(events(count, 1, 21));
    await eventually(() => new Set(reader.told()).size, 20 + count, { timeoutMs: 60_000 });
    expect(reader.resets()).toBe(1);
    await reader.stop();
  });

  test('tells of a stream that has lost what was read, also when as much came since', async () => {
    await using link = await BreakableLink.to(`tcp:127.0.0.1:${stand.server.port}`);
    await fill(events(5, 1));
    const backup = stand.folder.file('backup');
    await stand.server.backUp(backup);
    const reader = await follow({}, link.uri.replace('tcp:', 'nats://'));
    await fill(events(5, 1, 6));
    await until(() => reader.seen, 10);
    await link.down();
    await stand.server.restoreFrom(backup);
    await fill(events(7, 2, 20));
    await link.up();
    await until(() => reader.seen, 22);
    expect(reader.resets()).toBe(1);
    expect(reader.seen.slice(10).map((one) => one.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    await reader.stop();
  });

  test('waits for a stream that is deleted while it follows, and follows the next', async () => {
    await fill(events(5, 1));
    const reader = await follow();
    await until(() => reader.seen, 5);
    const jsm = await (await stand.as('admin')).jsm();
    await jsm.streams.delete('VIRTBUS_EVENTS');
    await stand.makeStreams();
    await fill(events(2, 1, 6));
    await until(() => reader.seen, 7);
    expect(reader.resets()).toBe(1);
    await reader.stop();
  });

  test('is refused to whom the roles refuse it, rather than waited for', async () => {
    const read = async (): Promise<void> => {
      for await (const one of tail(host, { since: 'all' })) throw new Error(one.subject);
    };
    await expect(read()).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  });

  test('stops when told to, also while nothing happens', async () => {
    const reader = await follow();
    await reader.stop();
  });

  test('ends with the connection that it reads from', async () => {
    const reader = await stand.as('reader');
    const reading = (async () => {
      for await (const one of tail(reader, { since: 'all' })) throw new Error(one.subject);
    })();
    await reader.nc.flush();
    await reader.close();
    await reading;
  });
});

test('the last event of a domain is found, from any host or from one', async () => {
  const { journal, tell } = publishing();
  [1, 2].forEach((revision) => tell(event({ revision })));
  await eventually(() => journal.pending.length, 0);
  const reader = await stand.as('reader');
  expect((await lastEvent(reader, { uuid: uuidOf(1) }))?.domain.revision).toBe(2);
  expect((await lastEvent(reader, { uuid: uuidOf(1), host: 'h1' }))?.domain.revision).toBe(2);
  expect(await lastEvent(reader, { uuid: uuidOf(1), host: 'h2' })).toBeUndefined();
  expect(await lastEvent(reader, { uuid: uuidOf(2) })).toBeUndefined();
});

test('a log that cannot be read to its end is told as that, and not as a defect of ours', async () => {
  await using server = await startNatsServer({ config: 'jetstream: disabled' });
  const bus = await connectBus({ name: 'test', url: server.url });
  try {
    const read = tail(bus, { since: 'all', once: true }).next();
    await expect(read).rejects.toMatchObject({ code: 'RPC', retry: 'later' });
  } finally {
    await bus.close();
  }
});
