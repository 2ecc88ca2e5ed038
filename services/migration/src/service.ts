/** One copy of the migration service on a connection. */
import { atWorkSubject } from '@virtbus/shared';
import { AtWork, serve } from '@virtbus/shared/bus';
import { meter, metrics, tally } from '@virtbus/shared/metrics';
import type { RunningService, ServiceContext } from '@virtbus/shared/service';
import { Copies } from './copies';
import { Drains } from './drain/drains';
import { drainEndpoints } from './drain/handlers';
import { DrainJournal } from './drain/record';
import { endpointsOf } from './handlers';
import { SagaJournal } from './journal';
import { Orphans } from './orphans';
import { Parties } from './parties';
import { Sagas } from './sagas';
import type { migrationSettings } from './settings';
import { Story } from './story';

/** Between attempts to reach JetStream at the start, milliseconds. */
const retryMs = 3_000;

export async function startMigrationService({
  values,
  version,
  log,
  connect,
  readiness,
}: ServiceContext<typeof migrationSettings>): Promise<RunningService> {
  const bus = await connect();
  const parties = new Parties(bus);
  const copies = new Copies(bus);
  const story = new Story(bus, log);
  const { jetstreamReplicas: replicas, patienceMs } = values;
  const sagas = new Sagas(bus, new SagaJournal(bus, replicas), parties, copies, story, patienceMs, log);
  const journal = new DrainJournal(bus, replicas);
  const drains = new Drains({ bus, journal, sagas, copies, story, patienceMs, log });
  copies.listen();
  readiness.needs('jetstream', () => sagas.trouble);
  const underWay = () => sagas.all().filter(({ ledger }) => !ledger.settled);
  meter.gauge(metrics.migrations, () => tally(underWay(), ({ ledger }) => ({ step: ledger.step })));
  for (;;) {
    try {
      await sagas.begin();
      await drains.begin();
      break;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ reason }, 'JetStream cannot be reached (is the NATS server run with it?); trying again');
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  const orphans = new Orphans(bus, sagas, log);
  orphans.start();
  const atWork = new AtWork(bus, atWorkSubject.migration);
  const service = await serve(
    bus,
    { name: 'virtbus-migration', version, description: 'moves domains between hosts', queue: 'migration' },
    [...endpointsOf(bus, sagas, parties), ...drainEndpoints(drains)].map((each) => atWork.through(each)),
    log,
  );
  log.info({ migrations: sagas.all().length }, 'migration service ready');
  return {
    // What is being done goes on at another copy, or at the next start: callers that wait for its end are not waited for.
    stop: async () => {
      drains.stop();
      orphans.stop();
      sagas.stop();
      story.stop();
      void service.stop();
    },
  };
}
