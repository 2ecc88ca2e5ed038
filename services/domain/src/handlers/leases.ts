/** The leases of the fleet and of its hosts' books side by side, and letting go of what its holder does not use. */
import {
  canonicalUuid,
  driverStorage,
  dropLeases,
  isVirtError,
  listLeases,
  storageLeases,
  storageRelease,
  VirtError,
  type HeldImage,
} from '@virtbus/shared';
import { callDriver, endpoint, type Endpoint, type Entry } from '@virtbus/shared/bus';
import { locate, type Fleet } from '../fleet';
import type { FleetLease } from '../registry/entries';
import { inParallel } from '../registry/reconciler';

/** For how long each host is waited for, milliseconds. */
const patienceMs = 5_000;

/** A lease as told, with the claims that it is held under in the book and what the fleet's book says. */
type Held = HeldImage & { claims: string[]; entries: Entry<FleetLease>[] };

interface Found {
  leases: Held[];
  notAsked: { host: string; reason: string }[];
}

export function leasesEndpoint(fleet: Fleet): Endpoint {
  return endpoint(listLeases, async ({ host, domain }) => {
    const { leases, notAsked } = await find(fleet, host, domain);
    if (leases.length === 0) await mustBeKnown(fleet, host, domain);
    return { leases: leases.map(told), notAsked };
  });
}

export function dropLeasesEndpoint(fleet: Fleet): Endpoint {
  return endpoint(dropLeases, async ({ host, hostIsGone }, call) => {
    const { leases } = await find(fleet, host, call.target ?? '');
    // All are asked before anything is let go of.
    for (const held of byHost(leases)) await refuseUsed(fleet, held, hostIsGone);
    for (const held of byHost(leases)) await letGo(fleet, held, hostIsGone);
    return { dropped: leases.map(told) };
  });
}

/** Who has gone for good may still hold something; of whom nobody knows anything, nobody can say that it holds nothing. */
async function mustBeKnown(fleet: Fleet, host: string | undefined, domain: string | undefined): Promise<void> {
  if (host !== undefined) fleet.hosts.driversOf(host);
  if (domain === undefined) return;
  const home = await locate(fleet, domain);
  if (home.left) throw new VirtError('DOMAIN_NOT_FOUND', { domain });
}

const told = ({ claims: _claims, entries: _entries, ...lease }: Held): HeldImage => lease;

/** Leases of one domain, by the host and driver that hold them. */
function byHost(leases: readonly Held[]): Held[][] {
  const by = new Map<string, Held[]>();
  for (const lease of leases) {
    const key = `${lease.host} ${lease.driver} ${lease.domain}`;
    by.set(key, [...(by.get(key) ?? []), lease]);
  }
  return [...by.values()];
}

/** @throws IMAGE_IN_USE for what the driver uses; HOST_OFFLINE when it cannot be asked */
async function refuseUsed({ bus }: Fleet, held: readonly Held[], hostIsGone: boolean): Promise<void> {
  const { host, driver, domain, name, path } = held[0]!;
  const revoke = [...new Set(held.flatMap(({ claims }) => claims))];
  try {
    const look = await callDriver(bus, { host, driver }, driverStorage, { revoke }, { domain, timeoutMs: patienceMs });
    const used = held.find(({ claims }) => look.uses.some(({ claim }) => claims.includes(claim)));
    // What only the fleet tells of has no claim to ask for: the guest's being there decides.
    const inUse = used ?? (look.active ? held[0] : undefined);
    if (inUse) throw new VirtError('IMAGE_IN_USE', { path: inUse.path, users: [`domain '${name}' on host '${host}'`] });
  } catch (error) {
    if (!isVirtError(error, 'HOST_OFFLINE') && !isVirtError(error, 'OPERATION_TIMEOUT')) throw error;
    if (hostIsGone) return;
    throw new VirtError('HOST_OFFLINE', {
      host,
      service: `driver-${driver}, which alone knows whether ${path} is used`,
    });
  }
}

async function letGo({ bus, leases }: Fleet, held: readonly Held[], hostIsGone: boolean): Promise<void> {
  const { host, domain } = held[0]!;
  const claims = [...new Set(held.flatMap((lease) => lease.claims))];
  if (claims.length > 0) {
    try {
      await callDriver(bus, { host, driver: 'storage' }, storageRelease, { claims }, { domain });
    } catch (error) {
      if (!hostIsGone || !isVirtError(error, 'HOST_OFFLINE')) throw error;
    }
  }
  await leases.dropAsRead(held.flatMap(({ entries }) => entries));
}

/** What is held by everybody, or on one host, or by one domain. */
async function find(fleet: Fleet, host: string | undefined, target: string | undefined): Promise<Found> {
  const wanted = ({ domain, name, host: at }: Pick<Held, 'domain' | 'name' | 'host'>): boolean =>
    (host === undefined || at === host) &&
    (target === undefined || domain === canonicalUuid(target) || name === target);
  const found = new Map<string, Held>();
  const notAsked: Found['notAsked'] = [];
  for (const entry of await fleet.leases.all()) {
    const { path, identity, holder } = entry.value;
    const { claim: _claim, epoch: _epoch, ...of } = holder;
    const lease: Held = { path, identity, ...of, fleet: true, claims: [], entries: [] };
    if (!wanted(lease)) continue;
    const known = found.get(keyOf(lease)) ?? lease;
    found.set(keyOf(lease), { ...known, entries: [...known.entries, entry] });
  }
  const hosts = new Set([...fleet.hosts.names(), ...[...found.values()].map((lease) => lease.host)]);
  await inParallel(
    [...hosts].filter((one) => host === undefined || one === host),
    async (at) => {
      try {
        const storage = { host: at, driver: 'storage' };
        const { holders } = await callDriver(fleet.bus, storage, storageLeases, {}, { timeoutMs: patienceMs });
        for (const lease of found.values()) if (lease.host === at) lease.book = false;
        for (const { claim, leases, domain, name, driver } of holders) {
          for (const { path, identity, mode } of leases) {
            const lease: Held = {
              path,
              identity,
              domain,
              name,
              host: at,
              driver,
              fleet: false,
              claims: [],
              entries: [],
            };
            if (!wanted(lease)) continue;
            const known = found.get(keyOf(lease)) ?? lease;
            const claims = [...new Set([...known.claims, claim])];
            const strongest = known.mode === 'exclusive' ? known.mode : mode;
            found.set(keyOf(lease), { ...known, mode: strongest, book: true, claims });
          }
        }
      } catch (error) {
        if (!isVirtError(error)) throw error;
        notAsked.push({ host: at, reason: error.message });
      }
    },
  );
  const leases = [...found.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return { leases, notAsked };
}

const keyOf = ({ host, name, path, identity, domain }: Held): string => [host, name, domain, path, identity].join('\0');
