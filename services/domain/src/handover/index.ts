/** What the migration service asks of the registry. */
import { handoverClaim, handoverCommit, handoverRelease } from '@virtbus/shared';
import { serviceEndpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import { Handover } from './handover';

export function handoverEndpoints(fleet: Fleet): Endpoint[] {
  const handover = new Handover(fleet.registry, fleet.claims);
  return [
    serviceEndpoint('domain', handoverClaim, (ask) => handover.claim(ask)),
    serviceEndpoint('domain', handoverCommit, (ask) => handover.commit(ask)),
    serviceEndpoint('domain', handoverRelease, (ask) => handover.release(ask)),
  ];
}
