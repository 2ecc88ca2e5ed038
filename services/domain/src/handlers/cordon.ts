/** What the migration service asks about hosts: place nothing new there, who was there last, and where a domain that leaves would go. */
import { hostCordon, hostDomains, hostPlace, isVirtError } from '@virtbus/shared';
import { serviceEndpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Cordons } from '../cordons';
import type { Fleet } from '../fleet';

export function cordonEndpoints({ hosts, placement, projection }: Fleet, cordons: Cordons): Endpoint[] {
  return [
    serviceEndpoint('domain', hostCordon, async ({ host, cordoned }) => {
      await cordons.set(host, cordoned);
      return {};
    }),
    serviceEndpoint('domain', hostDomains, async ({ host, driver }) => ({
      domains: projection.domains.filter((domain) => domain.host === host && domain.driver === driver),
    })),
    serviceEndpoint('domain', hostPlace, async ({ among, except, ...wanted }) => {
      const open = hosts.list().filter(({ host }) => (among?.includes(host) ?? true) && !except.includes(host));
      try {
        return { host: placement.choose({ ...wanted, labels: {} }, open).host };
      } catch (error) {
        if (isVirtError(error, 'NO_SUITABLE_HOST')) return { reason: open.length > 0 ? error.message : undefined };
        throw error;
      }
    }),
  ];
}
