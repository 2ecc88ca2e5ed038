/**
 * The images behind a domain's disks as its driver holds them: what storage has prepared for a command, and what the
 * driver tells of it later. The driver opens nothing that was not prepared for the domain as it is now.
 */
import { dispensableDisks, formatDevice, isEmptyDrive, parseDomain, type Disk, type Domain } from '@virtbus/domain-xml';
import { VirtError, type ChainDocument, type driverStorage, type Prepared } from '@virtbus/shared';
import type { z } from 'zod';
import type { Actor } from './actor';
import { facet } from './driver';
import type { DriverHost } from './host';
import { comingTo, isOnItsWay, targetOfHeld } from './images-held';
import type { HeldDisks } from './record';

/** While the command runs its claim is in use, whatever the documents say. */
export function begin(host: DriverHost, actor: Actor, prepared: Prepared | undefined): Disposable {
  if (!prepared) return { [Symbol.dispose]: () => undefined };
  const { claim, epoch, revision } = prepared;
  const { record } = actor;
  if (epoch !== record.epoch)
    throw new VirtError('EPOCH_STALE', { domain: record.name, mine: record.epoch, asked: epoch });
  if (revision !== record.revision || host.revokedClaims.has(claim)) {
    const detail = `domain '${record.name}' has changed since its disks were prepared`;
    throw new VirtError('RESOURCE_BUSY', { detail });
  }
  actor.opening.add(claim);
  return { [Symbol.dispose]: () => void actor.opening.delete(claim) };
}

/** What a preparation lets a guest open: disks by target, and what an operation has planned by the name of its need. */
export function heldBy(prepared: Prepared | undefined): HeldDisks {
  const { claim = '', disks = [], images = [] } = prepared ?? {};
  const named = [
    ...disks.map(({ target, chain }) => [target, chain] as const),
    ...images.map(({ name, chain }) => [name, chain] as const),
  ];
  return Object.fromEntries(named.map(([name, chain]) => [name, { claim, ...(chain ? { chain } : {}) }]));
}

/** What a start is given: what its guest may open, and the disks that it goes without. */
export const opensOf = (prepared: Prepared | undefined): { disks: HeldDisks; missing: readonly string[] } => ({
  disks: heldBy(prepared),
  missing: prepared?.missing ?? [],
});

/** The chains of disks, by target; of what was planned, by name. */
export function chainsOf(disks: HeldDisks): ReadonlyMap<string, ChainDocument> {
  return new Map(Object.entries(disks).flatMap(([target, { chain }]) => (chain ? [[target, chain] as const] : [])));
}

/**
 * Throws where an image was prepared in another place than the command names now: names are made of the time at which a driver has
 * first heard of a command, and one that was started again since has another. It is planned anew then, and what was prepared goes.
 * @param named where the images of the command are to be, by the names of their needs
 */
export function checkNamed(held: HeldDisks, named: ReadonlyMap<string, Disk['source']>): void {
  for (const [name, source] of named) {
    const location = held[name]?.chain?.layers[0]?.location;
    const path = source?.file ?? source?.dev;
    if (!location || !('path' in location) || path === undefined || location.path === path) continue;
    const detail = `${location.path} was prepared for disk '${targetOfHeld(name)}', of a command that its driver was started again over`;
    throw new VirtError('RESOURCE_BUSY', { detail });
  }
}

/**
 * The guest has these disks open too, or is about to.
 * @returns for what comes to nothing: what was held under these names before is held again
 */
export function hold(actor: Actor, disks: HeldDisks): () => void {
  const names = Object.keys(disks);
  if (names.length === 0) return () => undefined;
  const { guest, record } = actor;
  const before = names.map((name) => [name, record.disks?.[name]] as const);
  const all = record.disks;
  record.disks = { ...all, ...disks };
  try {
    actor.persist();
  } catch (error) {
    record.disks = all;
    throw error;
  }
  return () => {
    for (const [name, held] of before) {
      if (held && actor.record.disks && actor.guest === guest) actor.record.disks[name] = held;
      else delete actor.record.disks?.[name];
    }
    actor.persist();
  };
}

/** Of disks that a guest is being given: held as a whole, beside what disks of the same names have, until it has them. */
export const coming = (disks: HeldDisks): HeldDisks =>
  Object.fromEntries(Object.entries(disks).map(([target, held]) => [comingTo + target, held]));

/**
 * What was prepared for the last run of a domain, if a start now would open the same images and they are still leased:
 * undefined when storage has to be asked.
 */
export async function keptDisks(host: DriverHost, actor: Actor): Promise<HeldDisks | undefined> {
  const document = actor.managedSave ? await savedDocument(host, actor.uuid) : actor.config;
  const needed = (document?.devices.disks ?? []).filter((disk) => !isEmptyDrive(disk));
  if (needed.length === 0) return {};
  const { disks = {} } = actor.record;
  const { images } = host.implementation.facets;
  if (!images) return undefined;
  for (const disk of needed) {
    const chain = disks[disk.target.dev ?? '']?.chain;
    if (!chain || !(await images.areStill(disk, chain))) return undefined;
  }
  return disks;
}

/** What the domain's disks are and which claims are in use; for a domain that is not here, that it is not. */
export async function tellStorage(
  host: DriverHost,
  uuid: string,
  { afresh, revoke }: z.output<typeof driverStorage.request>,
): Promise<z.input<typeof driverStorage.response>> {
  const actor = host.find(uuid);
  for (const claim of revoke) host.revoke(claim, actor);
  if (!actor && host.unreadable.has(uuid)) {
    const detail = `what host '${host.name}' has written down of domain ${uuid} cannot be read: its guest may run`;
    throw new VirtError('SYSTEM_ERROR', { detail });
  }
  if (!actor) {
    const left = host.buried(uuid);
    const { name = '', epoch = 0, revision = 0 } = left ?? {};
    const nothing = { active: false, definition: [], mayMiss: [], live: [], uses: [] };
    return { known: left !== undefined, since: host.since, name, epoch, revision, ...nothing };
  }
  const restores = actor.managedSave && !afresh;
  const definition = restores ? await savedDocument(host, uuid) : actor.config;
  // Read together, with nothing awaited between: they are of one revision.
  const { name, epoch, revision, disks = {} } = actor.record;
  const opening = [...actor.opening].map((claim) => ({ claim }));
  const held = Object.entries(disks).map(([name, { claim }]) =>
    isOnItsWay(name) ? { claim } : { claim, target: name },
  );
  return {
    known: true,
    since: host.since,
    ...{ name, epoch, revision, active: actor.active },
    ...(actor.record.incoming !== undefined && { incoming: true }),
    definition: disksOf(definition, 'inactive'),
    mayMiss: definition ? dispensableDisks(definition, restores ? 'restore' : 'boot') : [],
    live: actor.active ? disksOf(actor.live, 'live') : [],
    uses: [...opening, ...held],
  };
}

async function savedDocument(host: DriverHost, uuid: string): Promise<Domain> {
  const { xml } = await facet(host.implementation, 'save').inspect(host.store.managedSaveOf(uuid));
  return parseDomain(xml, { mode: 'inactive', unknown: 'warn' }).domain;
}

function disksOf(domain: Domain | undefined, view: 'inactive' | 'live'): string[] {
  return (domain?.devices.disks ?? []).map((value: Disk) => formatDevice({ list: 'disks', value }, view));
}
