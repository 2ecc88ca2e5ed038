/** Asks everybody what `compare.ts` compares, and looks twice: what is only on its way is no disagreement. */
import {
  driverInventory,
  driverLeftovers,
  storageLeases,
  verifyFleet,
  VirtError,
  type Disagreement,
  type DomainSummary,
  type Response,
} from '@virtbus/shared';
import { callDriver, endpoint, type Endpoint } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { Fleet } from '../fleet';
import { hostKey } from '../hosts';
import { copiesOf } from './copies';
import { disagreements, type BookLease, type Facts } from './compare';

type Answer = Response<typeof verifyFleet>;
type Leftovers = z.infer<typeof driverLeftovers.response>;

/** Between two looks, milliseconds: longer than an event takes. */
const settleMs = 1_000;
/** For how long each host is waited for, milliseconds. */
const patienceMs = 5_000;

export function verifyEndpoint(fleet: Fleet): Endpoint {
  return endpoint(verifyFleet, async ({ host }, _call, fail) => {
    if (host && !fleet.hosts.list().some((row) => row.host === host)) throw fail('HOST_NOT_FOUND', { host });
    const first = await look(fleet, host);
    if (first.disagreements.length === 0) return first;
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const second = await look(fleet, host);
    const before = new Set(first.disagreements.map(({ kind, domain, what }) => `${kind} ${domain ?? what}`));
    return {
      ...second,
      disagreements: second.disagreements.filter(({ kind, domain, what }) => before.has(`${kind} ${domain ?? what}`)),
    };
  });
}

async function look(fleet: Fleet, only: string | undefined): Promise<Answer> {
  const { bus, hosts, registry, projection } = fleet;
  const notAsked: Answer['notAsked'] = [];
  const ask = async <T>(host: string, service: string, question: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await question();
    } catch (error) {
      notAsked.push({ host, service, reason: VirtError.from(error).message });
      return undefined;
    }
  };
  const drivers = hosts.list().filter(({ host }) => !only || host === only);
  const names = [...new Set(drivers.map(({ host }) => host))];
  const context = { timeoutMs: patienceMs };
  const found: Disagreement[] = [];
  const inventories = new Map<string, readonly DomainSummary[]>();
  const books = new Map<string, readonly BookLease[]>();
  await Promise.all([
    ...drivers.map(async (at) => {
      const service = `driver-${at.driver}`;
      const inventory = await ask(at.host, service, () => callDriver(bus, at, driverInventory, {}, context));
      if (!inventory) return;
      inventories.set(hostKey(at), inventory.domains);
      const left = await ask(at.host, service, () => callDriver(bus, at, driverLeftovers, {}, context));
      if (left) found.push(...leftBehind(at.host, left));
    }),
    ...names.map(async (host) => {
      const at = { host, driver: 'storage' };
      const book = await ask(host, 'storage', () => callDriver(bus, at, storageLeases, {}, context));
      if (!book) return;
      const flat = book.holders.flatMap(({ leases, domain }) => leases.map((lease) => ({ ...lease, domain, host })));
      books.set(host, flat);
    }),
  ]);
  const copies = await copiesOf(bus, projection);
  const [entries, claims, leases] = await registry.on(async (tables) =>
    Promise.all([tables.domains.entries(), tables.names.entries(), tables.leases.entries()]),
  );
  const its = <T extends { host: string }>(things: readonly T[]): T[] =>
    things.filter(({ host }) => !only || host === only);
  const facts: Facts = {
    now: Date.now(),
    entries: its(entries.map(({ value }) => value)),
    // A host's domains do not say whose the other names are.
    names: new Map(claims.map(({ key, value }) => [key, value])),
    fleetLeases: leases.map(({ value }) => value).filter(({ holder }) => !only || holder.host === only),
    copies,
    inventories,
    books,
  };
  const all = [...found, ...disagreements(facts)];
  return {
    disagreements: only ? all.filter(({ host }) => host === only) : all,
    domains: [...inventories.values()].reduce((sum, domains) => sum + domains.length, 0),
    leases: [...books.values()].reduce((sum, held) => sum + held.length, 0),
    copies: copies.length,
    notAsked,
  };
}

function leftBehind(host: string, { driver, processes, folders }: Leftovers): Disagreement[] {
  return [
    ...processes.map(({ pid, command }) => ({
      kind: 'stray-process' as const,
      host,
      what: `process ${pid} on ${host} runs on a folder of driver-${driver}, for no domain that it knows: ${command}`,
      advice: `look at it; when it is not needed, end it: kill ${pid}`,
    })),
    ...folders.map((folder) => ({
      kind: 'leftover' as const,
      host,
      what: `${folder} on ${host} belongs to no domain`,
      advice: `look into it; when it is not needed, remove it`,
    })),
  ];
}
