/** `node services/migration`: settings, connection, signals. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVirtError, VirtError } from '@virtbus/shared';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import { busOptions, loadConfig } from '@virtbus/shared/config';
import { createLog, type Log } from '@virtbus/shared/log';
import { startMigrationService } from './service';
import { migrationSettings } from './settings';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };
const retryMs = 3_000;

async function main(): Promise<void> {
  const values = loadConfig(migrationSettings);
  const log = createLog({ service: 'migration', level: values.logLevel });
  const bus = await connected(busOptions(values, 'migration', 'service'), log);
  const { jetstreamReplicas: replicas, patienceMs } = values;
  const service = startMigrationService(bus, version, { replicas, patienceMs }, log);
  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'migration service stops');
    const running = await Promise.race([service, Promise.resolve(undefined)]);
    await running?.stop();
    await bus.close();
    process.exit(0);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));
  void bus.nc.closed().then((error) => {
    if (!stopping) fail(log, error ?? new Error('the connection to NATS was closed'));
  });
  await service;
}

/** A server that is away is waited for; refused credentials are not. */
async function connected(options: Parameters<typeof connectBus>[0], log: Log): Promise<Bus> {
  for (;;) {
    try {
      return await connectBus(options, log);
    } catch (error) {
      if (!isVirtError(error, 'RPC')) fail(log, error);
      else log.warn({ reason: error.message }, 'NATS cannot be reached; trying again');
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}

function fail(log: Log, error: unknown): never {
  log.fatal({ reason: VirtError.from(error).message }, 'migration service cannot run');
  process.exit(1);
}

main().catch((error: unknown) => fail(createLog({ service: 'migration' }), error));
