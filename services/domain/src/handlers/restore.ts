/** Restore: look into the save image for the identity of its domain, claim that, have the host bring the guest back. */
import { driverInspectSave, driverRestore, isVirtError, restoreDomain, VirtError } from '@virtbus/shared';
import { dispensableDisks, parseDomain } from '@virtbus/domain-xml';
import { callDriver, endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import { askFor } from '../ask';
import { disksOf } from '../definition';
import { onBehalf, type Fleet } from '../fleet';
import type { At } from '../hosts';
import { withImages } from '../images/prepare';
import { takeBack } from './take-back';

export function restoreEndpoint(fleet: Fleet): Endpoint {
  return endpoint(restoreDomain, async ({ host, path, xml, paused }, call, fail) => {
    const { at, uuid, name, xml: saved } = await inspect(fleet, host, path, call);
    const document = parseDomain(xml ?? saved, { mode: 'inactive', unknown: 'warn' }).domain;
    const opening = { disks: disksOf(document), mayMiss: () => dispensableDisks(document, 'restore') };
    const want = { uuid, name, commandId: call.id, forMs: call.timeoutMs + 60_000 };
    const claim = await fleet.claims.domain(want, async () => at);
    try {
      if (claim.at.host !== at.host) {
        throw fail('OPERATION_FAILED', {
          detail: `domain '${name}' lives on host '${claim.at.host}'; restore it there, not on '${at.host}'`,
        });
      }
      const { epoch } = claim;
      const { domain } = await withImages(fleet, { ...at, uuid, name, epoch }, call, opening, (prepared) => {
        const request = { path, epoch, xml, paused, prepared };
        return askFor(fleet, driverRestore, request, call, at, { uuid });
      });
      await claim.settle();
      await fleet.knowledge.answered(domain);
      return { domain };
    } catch (error) {
      await takeBack(fleet, uuid, claim, error);
      throw error;
    }
  });
}

/** The first driver of the host that can read the image. */
async function inspect(
  fleet: Fleet,
  host: string,
  path: string,
  call: Call,
): Promise<{ at: At; uuid: string; name: string; xml: string }> {
  const drivers = fleet.hosts.driversOf(host);
  if (!drivers.some(({ online }) => online)) {
    throw new VirtError('HOST_OFFLINE', { host, service: `driver-${drivers[0]!.driver}` });
  }
  let refusal: unknown;
  for (const at of drivers.filter(({ online }) => online)) {
    try {
      return { at, ...(await callDriver(fleet.bus, at, driverInspectSave, { path }, onBehalf(call))) };
    } catch (error) {
      if (refusal === undefined || !isVirtError(error, 'UNSUPPORTED_BY_DRIVER')) refusal = error;
    }
  }
  throw refusal;
}
