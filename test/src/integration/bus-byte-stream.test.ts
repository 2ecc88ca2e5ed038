import { randomBytes } from 'node:crypto';
import { clientStream, hostStream, newId, writeContext, type Bus, type ByteStream } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { BreakableLink } from './breakable-link';
import { BusStand } from './bus-stand';

class Sink {
  private readonly chunks: Uint8Array[] = [];
  readonly take = (bytes: Uint8Array): void => void this.chunks.push(bytes);
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

let stand: BusStand;
let hostBus: Bus;
let clientBus: Bus;
beforeEach(async () => {
  stand = await BusStand.start();
  hostBus = await stand.as('host-h1');
  clientBus = await stand.as('operator');
});
afterEach(() => stand[Symbol.asyncDispose]());

interface Pair {
  host: ByteStream;
  client: ReturnType<typeof clientStream>;
  fromClient: Sink;
  fromHost: Sink;
}

/** A session as the console operation opens it: the client listens first, then the host begins. */
async function session(silenceMs?: number): Promise<Pair> {
  const [id, fromClient, fromHost] = [newId(), new Sink(), new Sink()];
  const client = clientStream(clientBus, id, fromHost.take, silenceMs);
  await clientBus.nc.flush();
  const host = hostStream(hostBus, 'h1', id, fromClient.take, silenceMs);
  await hostBus.nc.flush();
  client.connect(`virtbus.v1.stream.h1.${id}.in`);
  return { host, client, fromClient, fromHost };
}

test('bytes go both ways, in order, whatever they are', async () => {
  const { host, client, fromClient, fromHost } = await session();
  const [up, down] = [randomBytes(100_000), randomBytes(100_000)];
  await Promise.all([client.write(up), host.write(down)]);
  await eventually(() => fromClient.bytes.length + fromHost.bytes.length, 200_000);
  expect(fromClient.bytes.equals(up)).toBe(true);
  expect(fromHost.bytes.equals(down)).toBe(true);
});

test('a client that writes before the host is known loses nothing once it is', async () => {
  const { host, client, fromClient } = await session();
  await host.write(Buffer.from('login: '));
  await client.write(Buffer.from('root\r'));
  await eventually(() => fromClient.bytes.toString(), 'root\r');
});

test('1 MiB that a host echoes comes back whole', async () => {
  const id = newId();
  const back = new Sink();
  const client = clientStream(clientBus, id, back.take);
  await clientBus.nc.flush();
  const host: ByteStream = hostStream(hostBus, 'h1', id, (bytes) => void host.write(bytes));
  await hostBus.nc.flush();
  client.connect(`virtbus.v1.stream.h1.${id}.in`);
  const sent = randomBytes(1024 * 1024);
  await client.write(sent);
  await eventually(() => back.bytes.length, sent.length, { timeoutMs: 15_000 });
  expect(back.bytes.equals(sent)).toBe(true);
});

test('writes that do not wait for one another keep their order, also when there is no room', async () => {
  const { host, fromHost } = await session();
  const writes = Array.from({ length: 40 }, (_, n) => Buffer.alloc(150_000, n + 1));
  await Promise.all(writes.map((bytes) => host.write(bytes)));
  const whole = Buffer.concat(writes);
  await eventually(() => fromHost.bytes.length, whole.length, { timeoutMs: 15_000 });
  expect(fromHost.bytes.equals(whole)).toBe(true);
});

test('a sender does not run ahead of a receiver that acknowledges nothing', async () => {
  const id = newId();
  let received = 0;
  clientBus.nc.subscribe(`virtbus.v1.stream.*.${id}.out`, {
    callback: (_error, { data }) => (received += data.length),
  });
  await clientBus.nc.flush();
  const host = hostStream(hostBus, 'h1', id, () => undefined);
  let through = false;
  void host.write(Buffer.alloc(8 * 1024 * 1024)).then(() => (through = true));
  await eventually(() => received, 64 * 32_768);
  await hostBus.nc.flush();
  await clientBus.nc.flush();
  expect(received).toBe(64 * 32_768);
  expect(through).toBe(false);
  host.end();
  await eventually(() => through, true);
});

test('the end reaches the other side with its reason, on one line', async () => {
  const { host, client } = await session();
  host.end('the domain\nhas stopped');
  expect(await client.ended).toBe('the domain has stopped');
  expect(await host.ended).toBe('the domain\nhas stopped');
  await client.write(Buffer.from('too late')); // goes nowhere, harms nothing
  const second = await session();
  second.client.end();
  expect(await second.host.ended).toBe('closed');
});

test('two sides that say nothing stay connected: each gives a sign of life', async () => {
  const { host, client } = await session(2_000);
  const ended: string[] = [];
  void host.ended.then((why) => ended.push(why));
  void client.ended.then((why) => ended.push(why));
  let beats = 0;
  hostBus.nc.subscribe('virtbus.v1.stream.h1.*.in', { callback: () => beats++ });
  await eventually(() => beats > 12, true, { timeoutMs: 30_000 });
  expect(ended).toEqual([]);
  host.end();
});

test('a side that stood still itself takes the other for no silent one', async () => {
  const { host, client, fromClient } = await session(400);
  for (const until = performance.now() + 1_500; performance.now() < until;);
  await client.write(Buffer.from('still there'));
  await eventually(() => fromClient.bytes.toString(), 'still there');
  host.end('done');
  expect(await client.ended).toBe('done');
});

test('a client that vanishes does not hold the host for ever', async () => {
  const { host } = await session(400);
  await clientBus.nc.close();
  expect(await host.ended).toBe('the other side is silent');
});

test('bytes that were lost end the stream rather than leave a hole', async () => {
  const id = newId();
  const got = new Sink();
  const client = clientStream(clientBus, id, got.take);
  await clientBus.nc.flush();
  for (const number of ['1', '3']) {
    const headers = writeContext({ timeoutMs: 1 });
    headers.set('Virtbus-Stream', 'bytes');
    headers.set('Virtbus-Number', number);
    hostBus.nc.publish(`virtbus.v1.stream.h1.${id}.out`, Buffer.from(number), { headers });
  }
  expect(await client.ended).toBe('bytes were lost with the connection');
  expect(got.bytes.toString()).toBe('1');
});

describe('with the connection of one side lost', () => {
  const lost = 'bytes were lost with the connection';
  /** A sign of life comes four times as often. */
  const silenceMs = 8_000;
  let link: BreakableLink;
  beforeEach(async () => {
    link = await BreakableLink.to(`tcp:127.0.0.1:${stand.server.port}`);
    clientBus = await stand.as('operator', link.uri.replace('tcp:', 'nats://'));
  });
  afterEach(() => link[Symbol.asyncDispose]());

  /** What the client, and nobody else, sends and should get meanwhile is lost. */
  async function clientAway(meanwhile: () => unknown): Promise<void> {
    await link.down();
    await eventually(() => clientBus.connected(), false);
    await meanwhile();
    await link.up();
    await eventually(() => clientBus.connected(), true);
    // The server has taken its subscriptions again: one that the host's words overtake would hear none of them.
    await clientBus.nc.flush();
  }

  test('acknowledgements that were lost are made up for', async () => {
    const [id, got] = [newId(), new Sink()];
    let take!: () => void;
    const taken = new Promise<void>((resolve) => (take = resolve));
    clientStream(clientBus, id, (bytes) => taken.then(() => got.take(bytes)), silenceMs);
    let arrived = 0;
    clientBus.nc.subscribe(`virtbus.v1.stream.*.${id}.out`, { callback: () => arrived++ });
    await clientBus.nc.flush();
    const host = hostStream(hostBus, 'h1', id, () => undefined, silenceMs);
    const content = randomBytes(65 * 32_768);
    const written = host.write(content);
    await eventually(() => arrived, 64);
    await clientBus.nc.flush();
    await clientAway(async () => {
      take();
      await eventually(() => got.bytes.length, 64 * 32_768);
    });
    await written;
    await eventually(() => got.bytes.equals(content), true);
    host.end();
  });

  test('bytes that nothing follows end the stream on both sides', async () => {
    const { host, client, fromHost } = await session(silenceMs);
    await host.write(Buffer.from('login: '));
    await eventually(() => fromHost.bytes.toString(), 'login: ');
    await clientAway(async () => {
      void host.write(Buffer.alloc(65 * 32_768));
      await hostBus.nc.flush();
    });
    expect(await client.ended).toBe(lost);
    expect(await host.ended).toBe(lost);
  });

  test('input that was cut is no finished one', async () => {
    const [id, got] = [newId(), new Sink()];
    let finished = false;
    const client = clientStream(clientBus, id, () => undefined, silenceMs);
    const host = hostStream(hostBus, 'h1', id, got.take, silenceMs, () => (finished = true));
    await hostBus.nc.flush();
    client.connect(`virtbus.v1.stream.h1.${id}.in`);
    await client.write(Buffer.from('first '));
    await eventually(() => got.bytes.toString(), 'first ');
    await clientAway(() => client.write(Buffer.from('second')));
    await client.finish();
    expect(await host.ended).toBe(lost);
    expect(finished).toBe(false);
  });

  test('output that was cut does not end well', async () => {
    const { host, client } = await session(silenceMs);
    await clientAway(async () => {
      await host.write(Buffer.from('the last line'));
      await hostBus.nc.flush();
    });
    host.end('exit status 0');
    expect(await client.ended).toBe(lost);
  });

  test('an end of input that was lost is told again, and taken once', async () => {
    const [id, got] = [newId(), new Sink()];
    const told: string[] = [];
    const client = clientStream(clientBus, id, () => undefined, silenceMs);
    const host = hostStream(hostBus, 'h1', id, got.take, silenceMs, () => void told.push(got.bytes.toString()));
    await hostBus.nc.flush();
    client.connect(`virtbus.v1.stream.h1.${id}.in`);
    await client.write(Buffer.from('all'));
    await eventually(() => got.bytes.toString(), 'all');
    await clientAway(() => client.finish());
    await eventually(() => told.length > 0, true);
    await client.finish();
    await clientBus.nc.flush();
    client.end('done');
    expect(await host.ended).toBe('done');
    expect(told).toEqual(['all']);
  });
});

test('words of an older peer, which tell no number, are taken as they come', async () => {
  const id = newId();
  const got = new Sink();
  let finished = false;
  const host = hostStream(hostBus, 'h1', id, got.take, undefined, () => (finished = true));
  await hostBus.nc.flush();
  for (const [what, number] of [['bytes', '1'], ['beat'], ['finish'], ['end left']] as const) {
    const headers = writeContext({ timeoutMs: 1 });
    headers.set('Virtbus-Stream', what);
    if (number) headers.set('Virtbus-Number', number);
    clientBus.nc.publish(`virtbus.v1.stream.h1.${id}.in`, Buffer.from(number ?? ''), { headers });
  }
  expect(await host.ended).toBe('left');
  expect([got.bytes.toString(), finished]).toEqual(['1', true]);
});
