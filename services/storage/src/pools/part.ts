/** Pools and volumes, put together for the service. */
import { Answers } from '../answers';
import type { ImageUse, Part, StorageHost, VolumeDirectory } from '../host';
import { volumeEndpoints } from '../volumes/handlers';
import { InProgress } from '../volumes/in-progress';
import { Transfers } from '../volumes/transfer';
import { poolEndpoints } from './handlers';
import { directoryOf } from './directory-of-volumes';
import { Pools } from './pools';

export interface PoolsPart extends Part {
  /** For those who look for images. */
  directory: VolumeDirectory;
}

/** @param use who uses images: asked when one is to be changed, when every part is there */
export function poolsPart(host: StorageHost, use: () => ImageUse): PoolsPart {
  const pools = new Pools(host);
  const inProgress = new InProgress(host);
  const answers = new Answers(host.folder, pools.intents);
  const workshop = { pools, inProgress, intents: pools.intents, use };
  const transfers = new Transfers(workshop);
  pools.onUp = (managed) => inProgress.sweep(managed);
  const ofPools = poolEndpoints(pools);
  const ofVolumes = volumeEndpoints(workshop, transfers);
  const commands = [...ofPools.commands, ...ofVolumes.commands].map((each) => answers.once(each));
  return {
    directory: directoryOf(pools),
    endpoints: [...ofPools.queries, ...ofVolumes.queries, ...commands],
    begin: () => pools.comeUp(),
    connect: (bus) => transfers.connect(bus),
  };
}
