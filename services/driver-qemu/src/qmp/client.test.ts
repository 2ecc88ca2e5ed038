/** The client against a peer that speaks from a script: order, late answers, silence, nonsense. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QmpClient } from './client';
import { MonitorBroken, MonitorClosed, MonitorTimeout, QmpError } from './errors';

const greeting = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: '' }, capabilities: ['oob'] } };
const timestamp = { seconds: 5, microseconds: 6 };

type Request = { execute: string; id: number; arguments?: unknown };

/** A peer whose answer to each command is what `reply` writes. */
class Peer {
  readonly folder = mkdtempSync(join(tmpdir(), 'qmp-'));
  readonly path = join(this.folder, 'qmp.sock');
  readonly requests: Request[] = [];
  socket!: Socket;
  private readonly server: Server;

  constructor(reply: (request: Request, peer: Peer) => void) {
    this.server = createServer((socket) => {
      this.socket = socket;
      this.send(greeting);
      let text = '';
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        text += chunk.toString();
        const lines = text.split('\n');
        text = lines.pop()!;
        for (const request of lines.map((line) => JSON.parse(line) as Request)) {
          this.requests.push(request);
          if (request.execute === 'qmp_capabilities') this.send({ return: {}, id: request.id });
          else reply(request, this);
        }
      });
    }).listen(this.path);
  }

  send(...messages: object[]): void {
    this.socket.write(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(''));
  }

  async heard(command: string): Promise<Request> {
    for (;;) {
      const request = this.requests.find(({ execute }) => execute === command);
      if (request) return request;
      await new Promise(setImmediate);
    }
  }

  [Symbol.dispose](): void {
    this.socket?.destroy();
    this.server.close();
    rmSync(this.folder, { recursive: true });
  }
}

test('commands go out in their order, each when the one before is answered', async () => {
  const open: number[] = [];
  using peer = new Peer((request, self) => {
    open.push(request.id);
    setImmediate(() => {
      expect(open).toEqual([request.id]);
      open.pop();
      self.send({ return: request.execute, id: request.id });
    });
  });
  const client = await QmpClient.connect(peer.path);
  expect(client.greeting.capabilities).toEqual(['oob']);
  const asked = ['a', 'b', 'c'].map((command) => client.executeRaw(command));
  await expect(Promise.all(asked)).resolves.toEqual(['a', 'b', 'c']);
  client.close();
});

/** What QEMU says of words that it cannot read: nobody's id. */
const unread = { error: { class: 'GenericError', desc: "JSON parse error, invalid keyword 'e'" } };

test('a command that QEMU could not read is said again', async () => {
  using peer = new Peer((request, self) => {
    const said = self.requests.filter(({ id }) => id === request.id).length;
    self.send(said < 3 ? unread : { return: 'understood', id: request.id });
  });
  const client = await QmpClient.connect(peer.path);
  await expect(client.executeRaw('a')).resolves.toBe('understood');
  await expect(client.executeRaw('b')).resolves.toBe('understood');
  client.close();
});

test('what it says of a second piece of the same words, once all is answered, breaks nothing', async () => {
  using peer = new Peer((request, self) => {
    const said = self.requests.filter(({ id }) => id === request.id).length;
    if (request.execute === 'a' && said < 2) return self.send(unread);
    self.send({ return: 'understood', id: request.id });
    if (request.execute === 'a') self.send(unread);
  });
  const client = await QmpClient.connect(peer.path);
  await expect(client.executeRaw('a')).resolves.toBe('understood');
  await expect(client.executeRaw('b')).resolves.toBe('understood');
  expect(client.failure).toBeUndefined();
  client.close();
});

test('a QEMU that cannot read anything is not spoken to any more', async () => {
  using peer = new Peer((_request, self) => self.send(unread));
  const client = await QmpClient.connect(peer.path);
  await expect(client.executeRaw('a')).rejects.toBeInstanceOf(MonitorBroken);
  expect(peer.requests.filter(({ execute }) => execute === 'a')).toHaveLength(3);
  client.close();
});

test('an error answer keeps its class and its words', async () => {
  using peer = new Peer((request, self) =>
    self.send({ error: { class: 'DeviceNotFound', desc: "Device 'x' not found" }, id: request.id }),
  );
  const client = await QmpClient.connect(peer.path);
  const error = await client.execute('device_del', { id: 'x' }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(QmpError);
  expect(error).toMatchObject({ class: 'DeviceNotFound', command: 'device_del', desc: "Device 'x' not found" });
  expect(String(error)).toContain("unable to execute QEMU command 'device_del': Device 'x' not found");
  client.close();
});

test.each([{ return: {} }, { return: {}, id: 99 }, unread])(
  'an answer that nobody waits for breaks the monitor: %j',
  async (words) => {
    using peer = new Peer(() => undefined);
    const client = await QmpClient.connect(peer.path);
    const broken = new Promise((resolve) => client.once('controlError', resolve));
    peer.send(words);
    await expect(broken).resolves.toBeInstanceOf(MonitorBroken);
    client.close();
  },
);

test('a command that times out poisons no later one: its late answer is dropped', async () => {
  using peer = new Peer((request, self) => {
    if (request.execute === 'quick') self.send({ return: 'fresh', id: request.id });
  });
  const client = await QmpClient.connect(peer.path);
  await expect(client.executeRaw('slow', undefined, { timeoutMs: 20 })).rejects.toBeInstanceOf(MonitorTimeout);
  const quick = client.executeRaw('quick');
  peer.send({ return: 'late', id: (await peer.heard('slow')).id });
  await expect(quick).resolves.toBe('fresh');
  expect(client.failure).toBeUndefined();
  client.close();
});

test('a command whose time is over before its turn is never sent', async () => {
  using peer = new Peer((request, self) => {
    if (request.execute === 'last') self.send({ return: 'done', id: request.id });
  });
  const client = await QmpClient.connect(peer.path);
  const hanging = client.executeRaw('hanging');
  await expect(client.executeRaw('late', undefined, { timeoutMs: 20 })).rejects.toBeInstanceOf(MonitorTimeout);
  peer.send({ return: 'at last', id: (await peer.heard('hanging')).id });
  await expect(hanging).resolves.toBe('at last');
  await expect(client.executeRaw('last')).resolves.toBe('done');
  expect(peer.requests.map(({ execute }) => execute)).toEqual(['qmp_capabilities', 'hanging', 'last']);
  client.close();
});

test('an abort signal ends the wait with its own reason', async () => {
  using peer = new Peer(() => undefined);
  const client = await QmpClient.connect(peer.path);
  const abort = new AbortController();
  const answer = client.execute('query-status', undefined, { signal: abort.signal });
  abort.abort(new Error('job cancelled'));
  await expect(answer).rejects.toThrow('job cancelled');
  client.close();
});

test('events before the first listener are held, and each comes before the answer that follows it', async () => {
  const seen: string[] = [];
  using peer = new Peer((request, self) =>
    self.send({ event: 'STOP', timestamp }, { return: {}, id: request.id }, { event: 'RESUME', timestamp }),
  );
  const client = await QmpClient.connect(peer.path);
  await client.execute('stop');
  client.on('event', (event) => seen.push(event.event));
  const answered = client.execute('stop').then(() => seen.push('answer'));
  await answered;
  await client.execute('stop');
  expect(seen.slice(0, 5)).toEqual(['STOP', 'RESUME', 'STOP', 'RESUME', 'answer']);
  client.close();
});

test('nextEvent gives the first event that fits, with its timestamp', async () => {
  using peer = new Peer((_request, self) =>
    self.send(
      { event: 'DEVICE_DELETED', data: { path: '/machine/x' }, timestamp },
      { event: 'DEVICE_DELETED', data: { path: '/machine/y', device: 'net0' }, timestamp },
    ),
  );
  const client = await QmpClient.connect(peer.path);
  const deleted = client.nextEvent('DEVICE_DELETED', (data) => data.device === 'net0', { timeoutMs: 2000 });
  client.execute('device_del', { id: 'net0' }).catch(() => undefined);
  await expect(deleted).resolves.toMatchObject({ data: { device: 'net0' }, timestamp });
  client.close();
});

test.each([
  ['a line that is not JSON', (self: Peer) => self.socket.write('Segmentation fault\n')],
  ['an answer to a question nobody asked', (self: Peer) => self.send({ return: {}, id: 4711 })],
  ['an error without an id', (self: Peer) => self.send({ error: { class: 'GenericError', desc: 'JSON parse error' } })],
])('%s breaks the monitor, once, and keeps the socket', async (_name, speak) => {
  using peer = new Peer((_request, self) => void speak(self));
  const client = await QmpClient.connect(peer.path);
  const broken: unknown[] = [];
  client.on('controlError', (error) => broken.push(error));
  await expect(client.execute('query-status')).rejects.toBeInstanceOf(MonitorBroken);
  await expect(client.execute('query-status')).rejects.toBeInstanceOf(MonitorBroken);
  speak(peer);
  expect(broken).toHaveLength(1);
  expect(peer.socket.destroyed).toBe(false);
  client.close();
});

test('end of file fails what waits and what comes after, and says so once', async () => {
  using peer = new Peer((_request, self) => self.socket.end());
  const client = await QmpClient.connect(peer.path);
  let closes = 0;
  client.on('close', () => closes++);
  await expect(client.execute('query-status')).rejects.toThrow('End of file from qemu monitor');
  await expect(client.execute('query-status')).rejects.toBeInstanceOf(MonitorClosed);
  client.close();
  expect(closes).toBe(1);
});

test('nothing listening is told at once', async () => {
  await expect(QmpClient.connect('/nonexistent/monitor.sock')).rejects.toBeInstanceOf(MonitorClosed);
});

test('a listener that throws does not end the conversation', async () => {
  using peer = new Peer((request, self) => self.send({ event: 'STOP', timestamp }, { return: 1, id: request.id }));
  const client = await QmpClient.connect(peer.path);
  const loud = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => undefined);
  client.on('event', () => {
    throw new Error('defect in a listener');
  });
  await expect(client.executeRaw('x')).resolves.toBe(1);
  expect(loud).toHaveBeenCalled();
  loud.mockRestore();
  client.close();
});
