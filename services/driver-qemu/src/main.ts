/** `node services/driver-qemu`: the QEMU driver of one host. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runDriver } from '@virtbus/driver-runtime';
import { isVirtError } from '@virtbus/shared';
import { loadConfig } from '@virtbus/shared/config';
import { QemuDriver } from './driver';
import { findRunUser } from './run-user';
import { settings } from './settings';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };

async function main(): Promise<void> {
  const values = loadConfig(settings);
  const running = await runDriver(values, version, ({ state, log }) =>
    QemuDriver.open({
      cache: join(state, 'qemu', 'capabilities'),
      nvram: join(state, 'nvram'),
      run: join(values.runDir, values.host, 'qemu'),
      emulators: values.emulators,
      user: findRunUser(values.qemuUser, log),
      sandbox: values.sandbox,
      log,
    }),
  );
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    void running.stop().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

main().catch((error: unknown) => {
  console.error(`driver-qemu: ${isVirtError(error) ? error.message : String((error as Error).stack)}`);
  process.exit(1);
});
