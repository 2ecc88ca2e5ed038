/** Chains and leases, put together for the service. */
import { join } from 'node:path';
import { meter, metrics, tally } from '@virtbus/shared/metrics';
import type { ImageUse, Part, StorageHost, VolumeDirectory } from '../host';
import { LeaseBook } from '../leases/book';
import { ChainBook } from './book';
import { chainEndpoints } from './handlers';
import { Leftovers } from './leftovers';
import { MadeFiles } from './made-files';
import { Needs } from './needs';
import { Preparation } from './preparation';
import { Resolver } from './resolve';
import { Settlement } from './settlement';
import { Use } from './use';

export interface ChainsPart extends Part {
  /** For those who would change an image. */
  use: ImageUse;
}

export function chainsPart(host: StorageHost, volumes: VolumeDirectory): ChainsPart {
  const resolver = new Resolver(host, volumes);
  const chains = new ChainBook(join(host.folder, 'chains'), host.log);
  const leases = new LeaseBook(host.name, join(host.folder, 'leases'), host.log);
  leases.onLetGo = (paths) => volumes.letGo(paths);
  const use = new Use(host, resolver, chains, leases, volumes);
  const made = new MadeFiles(join(host.folder, 'made'), host.log);
  made.onRemoved = (path) => volumes.letGo([path]);
  const leftovers = new Leftovers(made, leases, use);
  const settlement = new Settlement(host, resolver, { chains, leases }, leftovers, volumes);
  const needs = new Needs(resolver, use, made, volumes);
  const preparation = new Preparation(host, { resolver, chains, leases, made, volumes, needs, leftovers, settlement });
  const held = () => leases.all().flatMap((holder) => holder.leases);
  meter.gauge(metrics.leases, () => tally(held(), ({ mode }) => ({ mode })));
  return {
    use,
    begin: () => leftovers.sweep(),
    endpoints: [...preparation.endpoints, ...chainEndpoints({ host, resolver, chains, volumes, use })],
  };
}
