/** How any service starts and ends: a small one, run as a real process by the same start-up as all of ours. */
import { join } from 'node:path';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import {
  eventually,
  freePort,
  startNatsServer,
  startProcess,
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
