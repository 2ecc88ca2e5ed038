/** Chains and leases, put together for the service. */
import { join } from 'node:path';
import type { ImageUse, Part, StorageHost, VolumeDirectory } from '../host';
import { LeaseBook } from '../leases/book';
import { ChainBook } from './book';
import { chainEndpoints } from './handlers';
import { Preparation } from './preparation';
import { Resolver } from './resolve';
import { Use } from './use';

export interface ChainsPart extends Part {
  /** For those who would change an image. */
  use: ImageUse;
}

export function chainsPart(host: StorageHost, volumes: VolumeDirectory): ChainsPart {
  const resolver = new Resolver(host, volumes);
  const chains = new ChainBook(join(host.folder, 'chains'), host.log);
  const leases = new LeaseBook(host.name, join(host.folder, 'leases'), host.log);
  const use = new Use(host, resolver, chains, leases, volumes);
  const preparation = new Preparation(host, resolver, chains, leases);
  return {
    use,
    endpoints: [...preparation.endpoints, ...chainEndpoints({ host, resolver, chains, volumes, use })],
  };
}
