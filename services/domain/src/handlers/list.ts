/** The list of domains, out of the projection: no host is asked; and one domain, as its home tells it. */
import {
  driverGet,
  getDomain,
  isActive,
  isVirtError,
  listDomains,
  VirtError,
  type DomainSummary,
  type Request,
} from '@virtbus/shared';
import { callDriver, endpoint, type Endpoint } from '@virtbus/shared/bus';
import { movedTo, onBehalf, summaryOf, type Fleet } from '../fleet';
import type { At } from '../hosts';
import { positionOf } from '../projection';
import { matcher } from './glob';

type Filter = Request<typeof listDomains>;

/** Throws `HOST_NOT_FOUND` for those of a host that nobody knows, `INVALID_ARG` for those of a driver that no host has. */
export function listEndpoint({ projection, hosts }: Fleet): Endpoint {
  return endpoint(listDomains, async (filter) => {
    const found = page(projection.domains, filter);
    // A mistyped host, or driver, would look like an empty one.
    if (filter.host !== undefined && found.total === 0) hosts.driversOf(filter.host);
    if (filter.driver !== undefined && found.total === 0) hosts.refuseUnknownDriver(filter.driver);
    return { ...found, asOf: projection.asOf, offline: hosts.offline() };
  });
}

export function getEndpoint(fleet: Fleet): Endpoint {
  return endpoint(getDomain, async (_request, call) => {
    const known = await summaryOf(fleet, call.target!, onBehalf(call).timeoutMs);
    const domain = await askedAtHome(fleet, known, call.target!);
    return { domain, asOf: fleet.projection.asOf, online: fleet.hosts.isOnline(domain) };
  });
}

/** How long the home host may take to say how a domain is, milliseconds; then the last known is told. */
const patienceMs = 3_000;

/**
 * One domain is asked for at its home: whoever has heard an event is never told an older state afterwards. A home that has
 * it no more knows better than this copy does.
 */
async function askedAtHome(fleet: Fleet, known: DomainSummary, target: string): Promise<DomainSummary> {
  const ask = async (at: At): Promise<DomainSummary> => {
    const { domain } = await callDriver(fleet.bus, at, driverGet, {}, { timeoutMs: patienceMs, domain: known.uuid });
    fleet.knowledge.heard(domain);
    return domain;
  };
  if (!fleet.hosts.isOnline(known)) return known;
  try {
    return await ask(known);
  } catch (error) {
    if (!isVirtError(error, 'DOMAIN_NOT_FOUND')) return known;
    const elsewhere = await movedTo(fleet, known, error);
    if (!elsewhere) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
    return ask(elsewhere).catch(() => known);
  }
}

/** One page of what matches, and how many match in all. */
export function page(
  sorted: readonly DomainSummary[],
  filter: Filter,
): { domains: DomainSummary[]; next?: string; total: number } {
  const matches = predicate(filter);
  const from = filter.after === undefined ? 0 : after(sorted, filter.after);
  const domains: DomainSummary[] = [];
  let [total, more] = [0, false];
  sorted.forEach((domain, index) => {
    if (!matches(domain)) return;
    total++;
    if (index < from) return;
    if (domains.length < filter.limit) domains.push(domain);
    else more = true;
  });
  const last = domains.at(-1);
  return { domains, total, ...(more && last ? { next: `${last.uuid} ${last.name}` } : {}) };
}

/** The cursor names the last domain of the page before; it need not be there any more. */
function after(sorted: readonly DomainSummary[], cursor: string): number {
  const at = { uuid: cursor.slice(0, 36), name: cursor.slice(37) };
  const position = positionOf(sorted, at);
  return sorted[position]?.uuid === at.uuid ? position + 1 : position;
}

function predicate(filter: Filter): (domain: DomainSummary) => boolean {
  const states = filter.states && new Set<string>(filter.states);
  const named = filter.name === undefined ? undefined : matcher(filter.name);
  return (domain) =>
    (!states || states.has(domain.state)) &&
    (filter.active === undefined || isActive(domain.state) === filter.active) &&
    (filter.persistent === undefined || domain.persistent === filter.persistent) &&
    (filter.autostart === undefined || domain.autostart === filter.autostart) &&
    (filter.managedSave === undefined || domain.managedSave === filter.managedSave) &&
    (filter.host === undefined || domain.host === filter.host) &&
    (filter.driver === undefined || domain.driver === filter.driver) &&
    (!named || named(domain.name));
}
