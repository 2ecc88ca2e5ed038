/**
 * The storage service of one host: the only one that opens an unknown image, and the owner of pools, volumes, chains and
 * disk leases there. Everything made and joined here; each part brings its endpoints.
 */
import { join } from 'node:path';
import { machineId } from '@virtbus/disk-image';
import { isVirtError } from '@virtbus/shared';
import { connectBus, serve, type Bus } from '@virtbus/shared/bus';
import { busOptions, type Values } from '@virtbus/shared/config';
import { lockFolder } from '@virtbus/shared/files';
import { createLog, type Log } from '@virtbus/shared/log';
import { chainsPart } from './chains/part';
import { StorageEvents } from './events';
import type { Part, StorageHost } from './host';
import { poolsPart } from './pools/part';
import type { storageSettings } from './settings';

export interface RunningStorage {
  /** Finish what was begun and let go of the bus. */
  stop(): Promise<void>;
}

/** How long events may take to reach the bus after a stop was asked for, milliseconds. */
const lastWordsMs = 2_000;
/** Between attempts to reach the bus, milliseconds. */
const retryMs = 1_000;

export async function runStorageService(
  values: Values<typeof storageSettings>,
  version: string,
): Promise<RunningStorage> {
  const log = createLog({ service: 'storage', host: values.host, level: values.logLevel });
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
  const bus = await connected(values, log);
  for (const part of parts) part.connect?.(bus);
  const service = await serve(
    bus,
    {
      name: 'virtbus-storage',
      version,
      description: `pools, volumes and backing chains of host ${values.host}`,
      queue: `${values.host}-storage`,
      metadata: { host: values.host },
    },
    parts.flatMap(({ endpoints }) => endpoints),
    log,
  );
  events.publish(bus);
  log.info('storage service ready');
  return {
    stop: async () => {
      await service.stop();
      await Promise.race([events.close(), new Promise((done) => setTimeout(done, lastWordsMs).unref())]);
      await bus.close();
      lock[Symbol.dispose]();
    },
  };
}

function partsOf(host: StorageHost): Part[] {
  const pools = poolsPart(host, () => chains.use);
  const chains = chainsPart(host, pools.directory);
  return [pools, chains];
}

/** A server that is away is waited for; refused credentials are not. */
async function connected(values: Values<typeof storageSettings>, log: Log): Promise<Bus> {
  const options = busOptions(values, `storage@${values.host}`, values.host);
  for (;;) {
    try {
      return await connectBus(options, log);
    } catch (error) {
      if (!isVirtError(error, 'RPC')) throw error;
      log.warn({ reason: error.message }, 'the bus is away; trying again');
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}
