/** How any service starts and ends: a small one, run as a real process by the same start-up as all of ours. */
import { join } from 'node:path';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import {
  eventually,
  freePort,
  startNatsServer,
  startProcess,
  temporaryFolder,
  type NatsServer,
  type TestProcess,
} from '@virtbus/testkit';

jest.setTimeout(60_000);

/** Answers `slow` when it is told to go on, `fast` at once. */
const program = `
const { runService } = require('@virtbus/shared/service');
const { serviceSettings } = require('@virtbus/shared/config');
const { serve } = require('@virtbus/shared/bus');
runService({
  name: 'small',
  settings: serviceSettings,
  packageFile: ${JSON.stringify(join(__dirname, '..', '..', 'package.json'))},
  start: async ({ connect, log, version }) => {
    const bus = await connect();
    let goOn;
    const told = new Promise((resolve) => (goOn = resolve));
    bus.nc.subscribe('go.on', { callback: () => goOn() });
    const endpoint = (name, handler) => ({ name, subject: 'small.' + name, timeoutMs: 30000, doc: name, handler });
    const served = await serve(
      bus,
      { name: 'small', version, description: 'small', queue: 'small' },
      [
        endpoint('slow', async () => (log.info('slow begun'), await told, { done: 'slow' })),
        endpoint('fast', async () => ({ done: 'fast' })),
      ],
      log,
    );
    log.info('small service ready');
    return { stop: () => served.stop() };
  },
});`;

const httpListen = { VIRTBUS_HTTP_LISTEN: '127.0.0.1:0' };

/** A page of the service's HTTP endpoint. */
async function page(small: TestProcess, path: string): Promise<{ status: number; text: string }> {
  const line = await small.waitFor('health, readiness and metrics', { timeoutMs: 30_000 });
  const { url } = JSON.parse(line) as { url: string };
  const response = await fetch(`${url}${path}`);
  return { status: response.status, text: await response.text() };
}

const start = (env: Record<string, string>): Promise<TestProcess> =>
  startProcess([process.execPath, '-e', program], { name: 'small', env });

describe('a service', () => {
  let nats: NatsServer;
  let bus: Bus;
  let small: TestProcess;

  beforeAll(async () => {
    nats = await startNatsServer();
    bus = await connectBus({ url: nats.url, name: 'test' });
  });
  afterAll(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    small = await start({ VIRTBUS_NATS_URL: nats.url });
    await small.waitFor('small service ready', { timeoutMs: 30_000 });
  });
  afterEach(() => small[Symbol.asyncDispose]());

  const ask = async (name: string): Promise<unknown> =>
    (await bus.nc.request(`small.${name}`, '{}', { timeout: 30_000 })).json();
  const taken = async (): Promise<boolean> =>
    ask('fast').then(
      () => true,
      () => false,
    );

  test('that is asked to end takes no more, answers what is running, and leaves', async () => {
    const slow = ask('slow');
    await small.waitFor('slow begun', { timeoutMs: 30_000 });
    small.kill('SIGTERM');
    await small.waitFor('small service stops', { timeoutMs: 30_000 });
    await eventually(taken, false, { timeoutMs: 30_000 });
    expect(small.running).toBe(true);
    bus.nc.publish('go.on');
    expect(await slow).toEqual({ done: 'slow' });
    expect(await small.exited).toEqual({ code: 0, signal: null });
  });

  test('that is asked twice leaves what is running', async () => {
    const slow = ask('slow').catch(() => 'lost');
    await small.waitFor('slow begun', { timeoutMs: 30_000 });
    small.kill('SIGTERM');
    await small.waitFor('small service stops', { timeoutMs: 30_000 });
    small.kill('SIGTERM');
    expect((await small.exited).code).toBe(1);
    void slow;
  });
});

describe('the HTTP endpoint of a service', () => {
  test('tells when it is ready, why not, and what it has done', async () => {
    const port = await freePort();
    await using small = await start({ ...httpListen, VIRTBUS_NATS_URL: `nats://127.0.0.1:${port}` });
    const ready = async (): Promise<unknown> => {
      const { status, text } = await page(small, '/readyz');
      return [status, (JSON.parse(text) as { reasons: string[] }).reasons];
    };
    expect(await page(small, '/healthz')).toMatchObject({ status: 200 });
    expect(await ready()).toEqual([503, ['start: not finished', 'nats: no server is connected']]);
    {
      await using nats = await startNatsServer({ port });
      await eventually(ready, [200, []], { timeoutMs: 30_000 });
      const bus = await connectBus({ url: nats.url, name: 'test' });
      await bus.nc.request('small.fast', '{}', { timeout: 30_000 });
      await bus.close();
      const told = (await page(small, '/metrics')).text;
      expect(told).toContain('virtbus_calls_total{operation="fast",code="OK",service="small"} 1\n');
      expect(told).toContain('virtbus_call_duration_seconds_count{service="small",operation="fast"} 1\n');
      expect(told).toContain('virtbus_nats_connected{service="small"} 1\n');
    }
    await eventually(ready, [503, ['nats: no server is connected']], { timeoutMs: 30_000 });
    expect((await page(small, '/nothing')).status).toBe(404);
  });

  test('listens on a socket of its name, also where an earlier one was left', async () => {
    using folder = temporaryFolder();
    const listen = {
      VIRTBUS_HTTP_LISTEN: `unix:${folder.file('{service}.sock')}`,
      VIRTBUS_NATS_URL: 'nats://127.0.0.1:1',
    };
    for (let n = 0; n < 2; n++) {
      await using small = await start(listen);
      const line = await small.waitFor('health, readiness and metrics', { timeoutMs: 30_000 });
      expect(line).toContain(`unix:${folder.file('small.sock')}`);
      await small.stop('SIGKILL');
    }
  });

  test('that cannot be had is fatal', async () => {
    await using small = await start({ VIRTBUS_HTTP_LISTEN: '192.0.2.1:9464' });
    expect((await small.exited).code).toBe(1);
    expect(small.log.text).toContain('VIRTBUS_HTTP_LISTEN: cannot listen on 192.0.2.1:9464');
  });
});

describe('a service that cannot run', () => {
  const lastLine = ({ log }: TestProcess): Record<string, unknown> =>
    JSON.parse(log.text.trim().split('\n').at(-1)!) as Record<string, unknown>;

  test('for its settings says so in one line', async () => {
    await using small = await start({ VIRTBUS_LOG_LEVEL: 'loud' });
    expect((await small.exited).code).toBe(1);
    expect(small.log.text.trim()).not.toContain('\n');
    expect(lastLine(small)).toMatchObject({
      level: 'fatal',
      msg: 'small cannot run',
      reason: expect.stringContaining('VIRTBUS_LOG_LEVEL') as string,
    });
  });

  test('for lack of a server waits for one, and may be ended meanwhile', async () => {
    await using small = await start({ VIRTBUS_NATS_URL: `nats://127.0.0.1:${await freePort()}` });
    await small.waitFor('NATS cannot be reached; trying again', { timeoutMs: 30_000 });
    small.kill('SIGTERM');
    expect(await small.exited).toEqual({ code: 0, signal: null });
  });

  test('for its credentials does not wait', async () => {
    await using nats = await startNatsServer({ authorization: 'authorization { token: right }' });
    await using small = await start({ VIRTBUS_NATS_URL: nats.url, VIRTBUS_NATS_TOKEN: 'wrong' });
    expect((await small.exited).code).toBe(1);
    expect(lastLine(small)).toMatchObject({ level: 'fatal', code: 'AUTH_FAILED' });
  });
});
