import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Attempt, dial, flushNow } from './dial';

const info = `INFO ${JSON.stringify({ server_id: 'late', version: '2.9.10', proto: 1, headers: true, max_payload: 1024 })}\r\n`;

test('an attempt to connect that was given up ends, and is no connection that was lost', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const attempt = new Attempt();
    let lost = false;
    void attempt.closed().then(() => (lost = true));
    const arrival = once(server, 'connection');
    const failed: string[] = [];
    const told = { onFailedAttempt: (...words: string[]) => void failed.push(words.join(': ')) };
    const outcome = attempt.connect({ hostname: '127.0.0.1', port, tlsName: '' }, told).then(
      () => 'connected',
      () => 'refused',
    );
    const [client] = (await arrival) as [Socket];
    const end = once(client.on('error', () => undefined).resume(), 'close');
    await attempt.close(new Error('too long'));
    client.write(info);
    expect(await outcome).toBe('refused');
    expect(failed).toEqual([`127.0.0.1:${port}: it does not answer`]);
    await end;
    expect({ lost, connected: attempt.connected }).toEqual({ lost: false, connected: false });
  } finally {
    server.close();
  }
});

test('an attempt where nobody listens tells why it failed, in the words of the system', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  const failed: string[] = [];
  const told = { onFailedAttempt: (...words: string[]) => void failed.push(words.join(': ')) };
  await expect(new Attempt().connect({ hostname: '127.0.0.1', port, tlsName: '' }, told)).rejects.toThrow();
  expect(failed).toEqual([`127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`]);
});

test('a server that has stopped reading is left at once, whatever waits to be sent to it', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).pause();
    socket.write(info);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const attempt = new Attempt();
    await attempt.connect({ hostname: '127.0.0.1', port: (server.address() as AddressInfo).port, tlsName: '' }, {});
    const more = new Uint8Array(1_048_576);
    // Until the system takes no more.
    while (attempt.socket.writableLength <= 2 * more.length) {
      attempt.send(more);
      await nextTurn();
    }
    attempt.disconnect();
    await attempt.closed();
  } finally {
    server.close();
  }
});

test('what was published is handed to the system at once when that is asked for', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => socket.write('PONG\r\n'));
    socket.write(info);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sent: string[] = [];
  const send = jest.spyOn(Attempt.prototype, 'send').mockImplementation(function (this: Attempt, frame: Uint8Array) {
    sent.push(Buffer.from(frame).toString());
    this.socket.write(frame);
  });
  try {
    const nc = await dial({ servers: `127.0.0.1:${port}` });
    sent.length = 0;
    nc.publish('a');
    expect(sent).toEqual([]);
    flushNow(nc);
    expect(sent).toEqual(['PUB a 0\r\n\r\n']);
    await nc.close();
  } finally {
    send.mockRestore();
    server.close();
  }
});
