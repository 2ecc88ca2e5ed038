/**
 * Runs a driver as a service: take up the guests that are there, then meet the bus.
 *
 * In this order: a host whose bus is away still supervises its guests, starts what must start with the host, and
 * journals what happens.
 */
import { join } from 'node:path';
import { isVirtError } from '@virtbus/shared';
import { connectBus, EventPublisher, serve, type Bus } from '@virtbus/shared/bus';
import { busOptions, type Values } from '@virtbus/shared/config';
import { lockFolder } from '@virtbus/shared/files';
import { createLog, type Log } from '@virtbus/shared/log';
import { adopt, autostart } from './adoption';
import type { Driver, Guest } from './driver';
import { endpoints } from './endpoints';
import { Heartbeat } from './heartbeat';
import { DriverHost } from './host';
import { Migrations } from './migration';
import { type driverSettings } from './settings';
import { Store } from './store';

export interface RunningDriver {
  host: DriverHost;
  /** Let go of the guests and of the bus. */
  stop(): Promise<void>;
}

export async function runDriver<G extends Guest>(
  values: Values<typeof driverSettings>,
  version: string,
  make: (folders: { state: string; log: Log }) => Promise<Driver<G>>,
): Promise<RunningDriver> {
  const log = createLog({ service: 'driver', host: values.host, level: values.logLevel });
  const state = join(values.stateDir, 'hosts', values.host);
  const driver = await make({ state, log });
  const lock = await lockFolder(join(state, driver.name));
  const store = new Store(join(state, driver.name), join(values.runDir, values.host, driver.name));
  const host = new DriverHost<G>(values.host, driver, store, log.child({ driver: driver.name }));
  await adopt(host, host.load());
  const migrations = new Migrations(host);
  await migrations.takeUp();
  await autostart(host);
  const bus = await connect(values, host, log);
  const publisher = new EventPublisher(bus, host.journalOnDisk, log);
  host.onJournal = () => publisher.kick();
  host.consoles.connect(bus);
  const heartbeat = new Heartbeat(host, { labels: values.labels, version });
  await serve(
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
  heartbeat.start(bus);
  host.log.info({ domains: host.all().length }, 'driver ready');
  return {
    host: host as unknown as DriverHost,
    stop: async () => {
      heartbeat.stop();
      await Promise.race([publisher.stop(), new Promise((done) => setTimeout(done, 2_000).unref())]);
      for (const actor of host.all()) actor.guest?.detach();
      await bus.close();
      host.journalOnDisk.close();
      lock[Symbol.dispose]();
    },
  };
}

/** Until the bus is there: refused credentials are told and end us, a server that is away is waited for. */
async function connect(values: Values<typeof driverSettings>, host: DriverHost, log: Log): Promise<Bus> {
  const options = busOptions(values, `driver-${host.driver}@${values.host}`, values.host);
  for (;;) {
    try {
      return await connectBus(options, log);
    } catch (error) {
      if (!isVirtError(error, 'RPC')) throw error;
      log.warn({ reason: error.message }, 'the bus is away; trying again');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}
