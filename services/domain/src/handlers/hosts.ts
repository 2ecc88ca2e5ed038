/** The list of hosts, from their heartbeats; and taking one off it. */
import { forgetHost, listHosts, VirtError } from '@virtbus/shared';
import { endpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import { onlineMs } from '../hosts';

/** Domains that an error names. */
const namedAtMost = 5;

export function hostsEndpoint({ hosts }: Fleet): Endpoint {
  return endpoint(listHosts, async () => ({ hosts: hosts.list() }));
}

export function forgetHostEndpoint({ hosts, projection, registry }: Fleet): Endpoint {
  return endpoint(forgetHost, async (_request, { target }) => {
    const host = target!;
    const drivers = hosts.driversOf(host);
    const living = projection.domains.filter((domain) => domain.host === host).map(({ name }) => name);
    if (living.length > 0) {
      const some = living.length > namedAtMost ? [...living.slice(0, namedAtMost), '…'] : living;
      refuse(`domains live on host '${host}' (${some.join(', ')}); move them away first (virtbus host drain ${host})`);
    }
    const online = drivers.find((driver) => driver.online);
    if (online) {
      const stopped = `one that has just stopped counts as online for up to ${onlineMs / 1_000} s`;
      refuse(`driver ${online.driver} of host '${host}' is online; stop the host's services first (${stopped})`);
    }
    await registry.forgetHost(host);
    for (const driver of drivers) hosts.forget(driver);
    return {};
  });
}

function refuse(detail: string): never {
  throw new VirtError('OPERATION_INVALID', { detail });
}
