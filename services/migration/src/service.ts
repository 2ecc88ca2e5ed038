/** One copy of the migration service on a connection. */
import { serve, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { endpointsOf } from './handlers';
import { SagaJournal } from './journal';
import { Parties } from './parties';
import { Sagas } from './sagas';

export interface MigrationService {
  /** Take no more; what is being done goes on at another copy, or at the next start. */
  stop(): Promise<void>;
}

/** Between attempts to reach JetStream at the start, milliseconds. */
const retryMs = 3_000;

export async function startMigrationService(
  bus: Bus,
  version: string,
  { replicas, patienceMs }: { replicas: number; patienceMs: number },
  log: Log,
): Promise<MigrationService> {
  const parties = new Parties(bus);
  const sagas = new Sagas(bus, new SagaJournal(bus, replicas), parties, patienceMs, log);
  for (;;) {
    try {
      await sagas.begin();
      break;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ reason }, 'JetStream cannot be reached (is the NATS server run with it?); trying again');
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  const service = await serve(
    bus,
    { name: 'virtbus-migration', version, description: 'moves domains between hosts', queue: 'migration' },
    endpointsOf(bus, sagas, parties),
    log,
  );
  log.info({ migrations: sagas.all().length }, 'migration service ready');
  return {
    stop: async () => {
      sagas.stop();
      await service.stop();
    },
  };
}
