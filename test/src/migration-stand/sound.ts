/** What must be right of a guest that has moved, or has not, on every host: it is at one place, and nothing is left elsewhere. */
import { readdirSync } from 'node:fs';
import { buckets, getDomain, getJob, qmpCommand, storageLeases } from '@virtbus/shared';
import { call, callDriver, Table } from '@virtbus/shared/bus';
import { readReplaced } from '@virtbus/shared/files';
import { eventually } from '@virtbus/testkit';
import { z } from 'zod';
import { faultsMeanwhile, type Expectations } from '../block-stand/sound';
import type { MovingGuest } from './moving-guest';

const entrySchema = z.looseObject({ host: z.string(), epoch: z.number(), moving: z.unknown().optional() });
const leaseSchema = z.looseObject({
  path: z.string(),
  holder: z.looseObject({ domain: z.string(), host: z.string() }),
});

/** Ports that hosts give to guests on their way. */
const ports = { first: 49_152, last: 49_215 };

export interface Place {
  host: string;
  state: string;
  epoch: number;
}

/** Where the hosts themselves say that it is. */
export async function placesOf({ stand, uuid }: MovingGuest): Promise<Place[]> {
  const found: Place[] = [];
  for (const host of stand.hosts) {
    const mine = (await stand.stack.inventory(host)).filter((domain) => domain.uuid === uuid);
    found.push(...mine.map(({ state, reason, epoch }) => ({ host, state: `${state}(${reason})`, epoch })));
  }
  return found;
}

/** Of a guest that may run or not, once its migration is closed. */
async function faultsOfPlace(guest: MovingGuest): Promise<string[]> {
  const places = await placesOf(guest);
  const [place] = places;
  const told = places.map(({ host, state, epoch }) => `${host} ${state} epoch ${epoch}`).join(', ');
  if (!place || places.length > 1) return [`it lives at [${told}]`];
  const runs = place.state.startsWith('running');
  const found = await Promise.all([
    faultsOfRegistry(guest, place),
    faultsOfLeases(guest, place, runs),
    faultsOfHosts(guest, place, runs),
    runs ? faultsOfQemu(guest) : [],
  ]);
  return found.flat().map((fault) => `${fault} (it lives at ${told})`);
}

/** The same, once storage and the registry have heard of the end by the events that tell it, which may be late. */
export async function faultsThatStay(guest: MovingGuest): Promise<string[]> {
  const look = (): Promise<string[]> => faultsOfPlace(guest);
  return eventually(look, (faults) => faults.length === 0).catch(look);
}

/** The same and all of its disks; it stops to write for a moment. */
export async function faultsOfRunning(guest: MovingGuest, expected: Expectations = {}): Promise<string[]> {
  const besides = readdirSync(guest.disks.folder);
  return [...(await faultsThatStay(guest)), ...(await faultsMeanwhile(guest.disks, { besides, ...expected }))];
}

async function faultsOfRegistry({ stand, uuid }: MovingGuest, { host, epoch }: Place): Promise<string[]> {
  const faults: string[] = [];
  const service = await stand.stack.serviceBus();
  const entry = (await (await Table.open(service, buckets.domains, entrySchema)).get(uuid))?.value;
  if (entry?.host !== host || entry.epoch !== epoch || entry.moving) {
    faults.push(`the registry has ${JSON.stringify(entry)}`);
  }
  const { domain } = await call(stand.bus, getDomain, {}, { target: uuid });
  if (domain.host !== host || domain.epoch !== epoch) faults.push(`shown is ${domain.host} epoch ${domain.epoch}`);
  const { job } = await call(stand.bus, getJob, {}, { target: uuid });
  if (job.type !== 'none') faults.push(`it still has the job ${JSON.stringify(job)}`);
  return faults;
}

/** Hosts' own books, and the fleet's: only its home has its images, and has them only while it runs. */
async function faultsOfLeases({ stand, uuid }: MovingGuest, { host: home }: Place, runs: boolean): Promise<string[]> {
  const service = await stand.stack.serviceBus();
  const faults: string[] = [];
  for (const host of stand.hosts) {
    const { holders } = await callDriver(service, { host, driver: 'storage' }, storageLeases, { domain: uuid });
    const held = holders.flatMap(({ leases }) => leases.map(({ path }) => path));
    const wanted = host === home && runs;
    if (held.length > 0 !== wanted) faults.push(`host ${host} has leased [${held.join(', ')}] to it`);
  }
  const table = await Table.open(service, buckets.leases, leaseSchema);
  const of = (await table.entries()).map(({ value }) => value).filter(({ holder }) => holder.domain === uuid);
  const wrong = of.filter(({ holder }) => holder.host !== home || !runs);
  if (wrong.length > 0) faults.push(`the fleet's leases have ${JSON.stringify(wrong)}`);
  if (runs && of.length === 0) faults.push('the fleet knows of no leases of it');
  return faults;
}

/** Processes, network devices, ports, folders, and what the drivers remember. */
async function faultsOfHosts({ stand, uuid }: MovingGuest, { host: home }: Place, runs: boolean): Promise<string[]> {
  const { namespaces, stack, hosts } = stand;
  return hosts.flatMap((host) => {
    const faults: string[] = [];
    const wanted = host === home && runs ? 1 : 0;
    const pids = stack.pidsOn(host, uuid);
    if (pids.length !== wanted) faults.push(`host ${host} has the QEMUs [${pids.join(', ')}] of it`);
    const taps = namespaces.devices(host).filter((name) => name.startsWith('vnet'));
    if (taps.length !== wanted) faults.push(`host ${host} has the taps [${taps.join(', ')}]`);
    const open = namespaces.listening(host).filter((port) => port >= ports.first && port <= ports.last);
    if (open.length > 0) faults.push(`on host ${host} the ports ${open.join(', ')} are open`);
    return [...faults, ...faultsOfBook(stack.folder.file('state', 'hosts', host, 'qemu', 'migrations'), host)];
  });
}

const recordSchema = z.looseObject({
  id: z.string(),
  role: z.string(),
  phase: z.string(),
  memory: z.string().optional(),
});

function faultsOfBook(folder: string, host: string): string[] {
  // A record may be being replaced now, or a driver was killed over it: then it is there under one of its names, or both.
  const names = new Set(readdirSync(folder).map((name) => name.replace(/\.new$/, '')));
  return [...names].flatMap((name) => {
    if (!name.endsWith('.json')) return [`host ${host} has left ${name} among its migrations`];
    const { phase, memory = 'whole' } = recordSchema.parse(JSON.parse(readReplaced(`${folder}/${name}`) ?? ''));
    const ended = ['undone', 'confirmed', 'finished'].includes(phase) && memory === 'whole';
    return ended ? [] : [`host ${host} remembers ${name} as ${phase}, memory ${memory}`];
  });
}

/** Nothing is set that a migration sets. */
async function faultsOfQemu({ stand, uuid }: MovingGuest): Promise<string[]> {
  const ask = async <T>(execute: string, args: Record<string, unknown> = {}): Promise<T> =>
    (await call(stand.bus, qmpCommand, { execute, arguments: args }, { target: uuid })).result as T;
  const faults: string[] = [];
  const exports = await ask<{ id: string }[]>('query-block-exports');
  if (exports.length > 0) faults.push(`QEMU exports ${exports.map(({ id }) => id).join(', ')}`);
  const capabilities = await ask<{ capability: string; state: boolean }[]>('query-migrate-capabilities');
  const on = capabilities.filter(({ state }) => state).map(({ capability }) => capability);
  // A QEMU 7.2 that never ends a migration which it gave up (`withdraw` of the driver tells when) keeps them.
  const { status } = await ask<{ status?: string }>('query-migrate');
  if (on.length > 0 && status !== 'cancelling') faults.push(`QEMU has the capabilities ${on.join(', ')} on`);
  const parameters = await ask<Record<string, unknown>>('query-migrate-parameters');
  if (parameters['tls-creds']) faults.push('QEMU has certificates set');
  const objects = await ask<{ name: string }[]>('qom-list', { path: '/objects' });
  const left = objects.map(({ name }) => name).filter((name) => name.includes('migrate'));
  if (left.length > 0) faults.push(`QEMU has the objects ${left.join(', ')}`);
  return faults;
}
