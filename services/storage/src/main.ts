/** `node services/storage`: the storage service of one host. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVirtError } from '@virtbus/shared';
import { loadConfig } from '@virtbus/shared/config';
import { runStorageService } from './service';
import { storageSettings } from './settings';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };

async function main(): Promise<void> {
  const running = await runStorageService(loadConfig(storageSettings), version);
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    void running.stop().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

main().catch((error: unknown) => {
  console.error(`storage: ${isVirtError(error) ? error.message : String((error as Error).stack)}`);
  process.exit(1);
});
