/** What the migration service asks of the registry. */
import { handoverClaim, handoverCommit, handoverImages, handoverRelease } from '@virtbus/shared';
import { serviceEndpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import { Handover } from './handover';
import { HandoverImages } from './images';

export function handoverEndpoints(fleet: Fleet): Endpoint[] {
  const handover = new Handover(fleet.registry, fleet.claims);
  const images = new HandoverImages(fleet, handover);
  return [
    serviceEndpoint('domain', handoverClaim, (ask) => handover.claim(ask)),
    serviceEndpoint('domain', handoverImages, (ask, call) => images.prepare(ask, call)),
    serviceEndpoint('domain', handoverCommit, async (ask) => {
      await images.handOver(ask);
      return handover.commit(ask);
    }),
    serviceEndpoint('domain', handoverRelease, async (ask) => {
      await images.letGo(ask);
      return handover.release(ask);
    }),
  ];
}
