/** Statistics of many domains: every host is asked in parallel, and one that is silent costs only its own. */
import { driverStats, statsOfDomains, VirtError, type DomainStats } from '@virtbus/shared';
import { callDriver, endpoint, type Endpoint } from '@virtbus/shared/bus';
import { locate, onBehalf, type Fleet } from '../fleet';
import { hostKey, type At } from '../hosts';

/** Whom to ask for which domains; all active ones when it names none. */
interface Share extends At {
  domains?: string[];
}

/** Throws `HOST_NOT_FOUND` for those of a host that nobody knows. */
export function statsEndpoint(fleet: Fleet): Endpoint {
  return endpoint(statsOfDomains, async ({ groups, host, domains }, call) => {
    const shares = (domains ? await sharesOf(fleet, domains) : everyHost(fleet)).filter(
      (share) => host === undefined || share.host === host,
    );
    if (host !== undefined && shares.length === 0) fleet.hosts.driversOf(host);
    const { timeoutMs } = onBehalf(call);
    const stats: DomainStats[] = [];
    const missing: { host: string; reason: string }[] = [];
    await Promise.all(
      shares.map(async (share) => {
        if (!share.domains && !fleet.hosts.isOnline(share)) {
          missing.push({ host: share.host, reason: 'host offline' });
          return;
        }
        try {
          const request = { groups, domains: share.domains };
          stats.push(...(await callDriver(fleet.bus, share, driverStats, request, { timeoutMs })).stats);
        } catch (error) {
          missing.push({ host: share.host, reason: VirtError.from(error).message });
        }
      }),
    );
    return { stats, missing };
  });
}

async function sharesOf(fleet: Fleet, targets: string[]): Promise<Share[]> {
  const shares = new Map<string, Required<Share>>();
  for (const target of new Set(targets)) {
    const home = await locate(fleet, target);
    if (home.left) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
    const share = shares.get(hostKey(home)) ?? { host: home.host, driver: home.driver, domains: [] };
    share.domains.push(home.uuid);
    shares.set(hostKey(home), share);
  }
  return [...shares.values()];
}

/** Hosts that answer, and those that have domains of which nobody can tell now. */
function everyHost({ hosts, projection }: Fleet): Share[] {
  return hosts
    .list()
    .filter((at) => at.online || projection.countOf(at.host, at.driver).active > 0)
    .map(({ host, driver }) => ({ host, driver }));
}
