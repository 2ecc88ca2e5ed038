/** Every public operation but storage's and migration's as an endpoint: served here, or passed on to a host. */
import {
  contracts,
  createDomain,
  defineDomain,
  dropLeases,
  forgetHost,
  getDomain,
  listDomains,
  listHosts,
  listLeases,
  renameDomain,
  restoreDomain,
  statsOfDomains,
  verifyFleet,
  type Contract,
  type ServedBy,
} from '@virtbus/shared';
import type { Endpoint } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import { toHome, toHost } from '../forward';
import { createEndpoint, defineEndpoint } from './define';
import { forgetHostEndpoint, hostsEndpoint } from './hosts';
import { dropLeasesEndpoint, leasesEndpoint } from './leases';
import { getEndpoint, listEndpoint } from './list';
import { renameEndpoint } from './rename';
import { restoreEndpoint } from './restore';
import { statsEndpoint } from './stats';
import { verifyEndpoint } from '../verify/gather';

const own = new Map<Contract, (fleet: Fleet) => Endpoint>([
  [listDomains, listEndpoint],
  [getDomain, getEndpoint],
  [statsOfDomains, statsEndpoint],
  [listHosts, hostsEndpoint],
  [forgetHost, forgetHostEndpoint],
  [listLeases, leasesEndpoint],
  [dropLeases, dropLeasesEndpoint],
  [verifyFleet, verifyEndpoint],
  [defineDomain, defineEndpoint],
  [createDomain, createEndpoint],
  [renameDomain, renameEndpoint],
  [restoreDomain, restoreEndpoint],
] as [Contract, (fleet: Fleet) => Endpoint][]);

const others: ReadonlySet<ServedBy> = new Set<ServedBy>(['storage-service', 'migration-service']);

/** By contract; a contract that nobody serves is a defect that shows at once. */
export function endpointsOf(fleet: Fleet): Map<Contract, Endpoint> {
  const ours = contracts.filter((c) => !others.has(c.servedBy));
  return new Map(
    ours.map((c) => {
      if (c.servedBy === 'home-host') return [c, toHome(fleet, c)];
      if (c.servedBy === 'host') return [c, toHost(fleet, c)];
      const make = own.get(c);
      if (!make) throw new TypeError(`nobody serves ${c.name}`);
      return [c, make(fleet)];
    }),
  );
}
