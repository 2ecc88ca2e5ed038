/** What `npm start` runs after its set-up: the whole platform from one process, and what is left when that one dies. */
import { join } from 'node:path';
import {
  checkout,
  eventually,
  freePort,
  isAlive,
  startProcess,
  temporaryFolder,
  type TestProcess,
} from '@virtbus/testkit';

jest.setTimeout(180_000);

test('killed, it takes its services along, and the next start finds everything free', async () => {
  using folder = temporaryFolder();
  const env = {
    VIRTBUS_STATE_DIR: folder.file('state'),
    VIRTBUS_RUN_DIR: folder.file('r'),
    VIRTBUS_NATS_PORT: String(await freePort()),
    VIRTBUS_NATS_URL: undefined,
    VIRTBUS_CONTEXT: undefined,
    VIRTBUS_CONFIG: undefined,
    VIRTBUS_HOST: 'h1',
  };
  const up = async (): Promise<TestProcess> => {
    const started = await startProcess([process.execPath, join(checkout, 'tools/dist/up.js')], {
      name: 'npm start',
      env,
    });
    await started.waitFor('virtbus is up', { timeoutMs: 60_000 });
    return started;
  };
  const killed = await up();
  const services = killed.children().map(({ pid }) => pid);
  expect(services.length).toBeGreaterThanOrEqual(3);
  await killed.stop('SIGKILL');
  await eventually(() => services.filter(isAlive).length, 0, { timeoutMs: 30_000 });
  await using again = await up();
  expect(await again.stop('SIGINT', 20_000)).toEqual({ code: 0, signal: null });
});
