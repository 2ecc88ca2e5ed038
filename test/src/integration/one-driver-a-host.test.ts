import { startService, temporaryFolder } from '@virtbus/testkit';

jest.setTimeout(60_000);

test('two drivers never run on one state folder: the second names the first and ends', async () => {
  using folder = temporaryFolder();
  const env = {
    VIRTBUS_HOST: 'h1',
    VIRTBUS_STATE_DIR: folder.file('state'),
    VIRTBUS_RUN_DIR: folder.file('r'),
    VIRTBUS_NATS_URL: 'nats://127.0.0.1:1', // no bus: a driver takes up its guests without it
  };
  await using first = await startService('driver-qemu', { name: 'first', env });
  await first.waitFor('NATS cannot be reached', { timeoutMs: 30_000 });
  await using second = await startService('driver-qemu', { name: 'second', env });
  const { code } = await second.exited;
  expect(code).toBe(1);
  expect(second.log.text).toContain(`resource busy: another service runs on this state folder (pid ${first.pid})`);
  await first.stop('SIGKILL');
  await using third = await startService('driver-qemu', { name: 'third', env });
  await third.waitFor('NATS cannot be reached', { timeoutMs: 30_000 });
});
