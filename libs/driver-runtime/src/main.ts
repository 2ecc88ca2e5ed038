/** What the process of every driver service does: read its settings, run, end on a signal, say in one line why it cannot. */
import { readFileSync } from 'node:fs';
import { isVirtError } from '@virtbus/shared';
import { loadConfig, type Values } from '@virtbus/shared/config';
import type { Log } from '@virtbus/shared/log';
import type { Driver, Guest } from './driver';
import { runDriver } from './runtime';
import { type driverSettings } from './settings';

/**
 * @param packageFile the service's package.json, which has its version
 * @param make gets the host's state folder, which all drivers of the host share
 */
export function driverMain<T extends typeof driverSettings, G extends Guest>(
  name: string,
  settings: T,
  packageFile: string,
  make: (values: Values<T>, folders: { state: string; log: Log }) => Promise<Driver<G>>,
): void {
  run(settings, packageFile, make).catch((error: unknown) => {
    console.error(`${name}: ${isVirtError(error) ? error.message : String((error as Error).stack)}`);
    process.exit(1);
  });
}

async function run<T extends typeof driverSettings, G extends Guest>(
  settings: T,
  packageFile: string,
  make: (values: Values<T>, folders: { state: string; log: Log }) => Promise<Driver<G>>,
): Promise<void> {
  const values = loadConfig(settings);
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
  const running = await runDriver(values, version, (folders) => make(values, folders));
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    void running.stop().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}
