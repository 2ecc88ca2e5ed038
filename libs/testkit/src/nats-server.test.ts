import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startNatsServer, type NatsServer } from './nats-server';
import { isAlive } from './process-table';
import { temporaryFolder } from './temporary-folder';

/** Speaks the wire protocol itself, so that these tests stand below every client: sends lines, reads until `last`. */
function converse(server: NatsServer, say: string, last: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect(server.port, '127.0.0.1', () => socket.write(say));
    socket.setTimeout(5_000, () => socket.destroy(new Error(`heard only ${heard}`)));
    socket.on('error', reject);
    socket.on('data', (bytes) => {
      heard += bytes.toString();
      if (!last.test(heard)) return;
      socket.destroy();
      resolve(heard);
    });
  });
}

const hello = 'CONNECT {"verbose":false}\r\n';
const request = (subject: string, body = ''): string =>
  `${hello}SUB answer 1\r\nPUB ${subject} answer ${Buffer.byteLength(body)}\r\n${body}\r\n`;

async function createStream(server: NatsServer): Promise<void> {
  const stream = JSON.stringify({ name: 'LOG', subjects: ['log.>'] });
  expect(await converse(server, request('$JS.API.STREAM.CREATE.LOG', stream), /MSG answer[^]*}/)).toContain(
    '"created"',
  );
}

const streams = (server: NatsServer): Promise<string> =>
  converse(server, request('$JS.API.STREAM.NAMES'), /MSG answer[^]*}/);

describe('a nats-server for a test', () => {
  test('accepts connections on the loopback once started, with JetStream, and is gone afterwards', async () => {
    let pid: number;
    let store: string;
    {
      await using server = await startNatsServer();
      pid = server.process!.pid;
      store = server.storeDir;
      expect(server.url).toBe(`nats://127.0.0.1:${server.port}`);
      expect(await converse(server, `${hello}PING\r\n`, /PONG/)).toContain('"jetstream":true');
    }
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(store)).toBe(false);
  });

  test('keeps port and data over an orderly stop and over a crash', async () => {
    await using server = await startNatsServer();
    const { port } = server;
    await createStream(server);
    for (const end of [() => server.stop(), () => server.kill9()]) {
      await end();
      expect(server.process).toBeUndefined();
      await server.restart();
      expect(server.port).toBe(port);
      expect(await streams(server)).toContain('"streams":["LOG"]');
    }
  });

  test('forgets all when wiped, and runs again if it ran', async () => {
    await using server = await startNatsServer();
    await createStream(server);
    await server.wipe();
    expect(await streams(server)).not.toContain('LOG');
    await server.stop();
    await server.wipe();
    expect(server.process).toBeUndefined();
  });

  test('keeps a given store, and lets in only whom the given block lets in', async () => {
    using folder = temporaryFolder();
    const authorization = 'authorization { users = [ { user: ann, password: secret } ] }';
    {
      await using server = await startNatsServer({ storeDir: folder.path, authorization });
      expect(await converse(server, `${hello}PING\r\n`, /-ERR|PONG/)).toContain('Authorization Violation');
      const ann = 'CONNECT {"user":"ann","pass":"secret"}\r\nPING\r\n';
      expect(await converse(server, ann, /-ERR|PONG/)).toContain('PONG');
    }
    expect(readdirSync(folder.path)).toEqual(['jetstream']);
    expect(existsSync(join(folder.path, 'jetstream'))).toBe(true);
  });

  test('whose configuration is wrong fails with what the server says', async () => {
    await expect(startNatsServer({ config: 'max_payload: many' })).rejects.toThrow(
      /nats-server ended[^]*nats-server.conf:5/,
    );
  });

  test('on a port that is taken fails rather than trusting the stranger there', async () => {
    await using first = await startNatsServer();
    await expect(startNatsServer({ port: first.port })).rejects.toThrow('address already in use');
  });
});
