/**
 * Runs a driver as a service: take up the guests that are there, then meet the bus.
 *
 * In this order: a host whose bus is away still supervises its guests, starts what must start with the host, and
 * journals what happens.
 */
import { join } from 'node:path';
import { EventPublisher, lastEvent, serve } from '@virtbus/shared/bus';
import { lockFolder } from '@virtbus/shared/files';
import type { RunningService, ServiceContext } from '@virtbus/shared/service';
import { adopt, autostart } from './adoption';
import type { Driver, Guest } from './driver';
import { endpoints } from './endpoints';
import { Heartbeat } from './heartbeat';
import { DriverHost } from './host';
import { measure } from './measure';
import { Migrations } from './migration';
import { tellEndsOfLastBoot } from './power-cut';
import { untilThereIsRoom } from './room';
import { type driverSettings } from './settings';
import { Store } from './store';

/** How long events may take to reach the bus after a stop was asked for, milliseconds. */
const lastWordsMs = 2_000;

/** @param make gets the host's state folder, which all drivers of the host share */
export async function runDriver<G extends Guest>(
  { values, version, log, connect, readiness }: ServiceContext<typeof driverSettings>,
  make: (state: string) => Promise<Driver<G>>,
): Promise<RunningService> {
  const state = join(values.stateDir, 'hosts', values.host);
  const driver = await make(state);
  const lock = await lockFolder(join(state, driver.name));
  await untilThereIsRoom(join(state, driver.name), log);
  const store = new Store(join(state, driver.name), join(values.runDir, values.host, driver.name));
  const host = new DriverHost<G>(values.host, driver, store, log.child({ driver: driver.name }));
  const known = host.load();
  const migrations = new Migrations(host);
  migrations.recall();
  await adopt(host, known);
  measure(host);
  await migrations.takeUp();
  await autostart(host);
  const bus = await connect();
  const publisher = new EventPublisher(bus, host.journalOnDisk, log);
  host.onJournal = () => publisher.kick();
  host.consoles.connect(bus);
  const heartbeat = new Heartbeat(host, { labels: values.labels, version, migrations: () => migrations.open().length });
  const service = await serve(
    bus,
    {
      name: `virtbus-driver-${driver.name}`,
      version,
      description: `${driver.name} guests of host ${values.host}`,
      queue: `${values.host}-${driver.name}`,
      metadata: { host: values.host, driver: driver.name },
    },
    [...endpoints(host, heartbeat.status), ...migrations.endpoints()],
    host.log,
  );
  publisher.start();
  const ending = new AbortController();
  void tellEndsOfLastBoot(host, (uuid) => lastEvent(bus, { uuid, host: host.name }), ending.signal);
  readiness.needs('jetstream', () => publisher.failing);
  heartbeat.start(bus);
  host.log.info({ domains: host.all().length }, 'driver ready');
  return {
    stop: async () => {
      heartbeat.stop();
      ending.abort();
      await service.stop();
      await Promise.race([publisher.stop(), new Promise((done) => setTimeout(done, lastWordsMs).unref())]);
      for (const actor of host.all()) actor.guest?.detach();
      host.journalOnDisk.close();
      lock[Symbol.dispose]();
    },
  };
}
