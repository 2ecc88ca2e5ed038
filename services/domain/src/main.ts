/** `node services/domain`: settings, connection, signals. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVirtError, VirtError } from '@virtbus/shared';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import { busOptions, loadConfig } from '@virtbus/shared/config';
import { createLog, type Log } from '@virtbus/shared/log';
import { startDomainService } from './service';
import { domainSettings } from './settings';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };
const retryMs = 3_000;

async function main(): Promise<void> {
  const values = loadConfig(domainSettings);
  const log = createLog({ service: 'domain', level: values.logLevel });
  const bus = await connected(busOptions(values, 'domain', 'service'), log);
  const service = startDomainService(
    bus,
    version,
    {
      replicas: values.jetstreamReplicas,
      eventsMaxAgeMs: values.eventsMaxAgeDays * 86_400_000,
      eventsMaxBytes: values.eventsMaxMib * 1_048_576,
    },
    log,
  );
  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'domain service stops');
    // One that never got ready has nothing to finish.
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
  log.fatal({ reason: VirtError.from(error).message }, 'domain service cannot run');
  process.exit(1);
}

main().catch((error: unknown) => fail(createLog({ service: 'domain' }), error));
