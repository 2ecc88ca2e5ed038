/**
 * The storage service of one host: the only one that opens an unknown image, and the owner of pools, volumes, chains and
 * disk leases there. Everything made and joined here; each part brings its endpoints.
 */
import { join } from 'node:path';
import { machineId } from '@virtbus/disk-image';
import { atWorkSubject } from '@virtbus/shared';
import { AtWork, serve } from '@virtbus/shared/bus';
import { lockFolder } from '@virtbus/shared/files';
import type { RunningService, ServiceContext } from '@virtbus/shared/service';
import { chainsPart } from './chains/part';
import { StorageEvents } from './events';
import type { Part, StorageHost } from './host';
import { poolsPart } from './pools/part';
import type { storageSettings } from './settings';

/** How long events may take to reach the bus after a stop was asked for, milliseconds. */
const lastWordsMs = 2_000;

export async function startStorageService({
  values,
  version,
  log,
  connect,
  readiness,
}: ServiceContext<typeof storageSettings>): Promise<RunningService> {
  const folder = join(values.stateDir, 'hosts', values.host, 'storage');
  const lock = await lockFolder(folder);
  const events = new StorageEvents(values.host, folder, log);
  const host: StorageHost = {
    name: values.host,
    folder,
    machine: machineId(),
    policy: values.imagePolicy,
    log,
    tell: (event) => events.tell(event),
  };
  const parts = partsOf(host);
  for (const part of parts) await part.begin?.();
  const bus = await connect();
  for (const part of parts) part.connect?.(bus);
  const atWork = new AtWork(bus, atWorkSubject.storage(values.host));
  const service = await serve(
    bus,
    {
      name: 'virtbus-storage',
      version,
      description: `pools, volumes and backing chains of host ${values.host}`,
      queue: `${values.host}-storage`,
      metadata: { host: values.host },
    },
    parts.flatMap(({ endpoints }) => endpoints).map((each) => atWork.through(each)),
    log,
  );
  const publisher = events.publish(bus);
  readiness.needs('jetstream', () => publisher.failing);
  log.info('storage service ready');
  return {
    stop: async () => {
      await service.stop();
      await Promise.race([events.close(), new Promise((done) => setTimeout(done, lastWordsMs).unref())]);
      lock[Symbol.dispose]();
    },
  };
}

function partsOf(host: StorageHost): Part[] {
  const pools = poolsPart(host, () => chains.use);
  const chains = chainsPart(host, pools.directory);
  return [pools, chains];
}
