/** What users ask of chains, as endpoints. */
import {
  auditChains,
  repairChain,
  showChain,
  usersOfImage,
  verifyChain,
  type Contract,
  type Request,
  type Response,
} from '@virtbus/shared';
import { endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import type { StorageHost, VolumeDirectory } from '../host';
import { audit } from './audit';
import type { ChainBook } from './book';
import { Repair } from './repair';
import type { Resolver } from './resolve';
import { show } from './show';
import type { Use } from './use';
import { verify } from './verify';

export interface Chains {
  host: StorageHost;
  resolver: Resolver;
  chains: ChainBook;
  volumes: VolumeDirectory;
  use: Use;
}

export function chainEndpoints(known: Chains): Endpoint[] {
  const on = <C extends Contract>(c: C, handler: (request: Request<C>, call: Call) => Promise<Response<C>>): Endpoint =>
    endpoint(c, handler, known.host.name);
  const repair = new Repair(known);
  return [
    on(showChain, (request) => show(known, request)),
    on(verifyChain, ({ domain }) => verify(known, domain)),
    on(auditChains, () => audit(known)),
    on(usersOfImage, async ({ image }) => ({ users: await known.use.usersOf(image) })),
    on(repairChain, (request, call) => repair.run(request, call)),
  ];
}
