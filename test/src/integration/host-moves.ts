/** A migration between two hosts of a stack, each step asked of the drivers themselves as the migration service asks it. */
import { deepEqual, equal } from 'node:assert/strict';
import { formatDevice, parseDomain } from '@virtbus/domain-xml';
import {
  migrationBegin,
  migrationConfirm,
  migrationFinish,
  migrationPerform,
  migrationPrepare,
  MigrationOptions,
  storagePrepare,
  type MigrationView,
} from '@virtbus/shared';
import { callDriver, newId, type Bus } from '@virtbus/shared/bus';

export const env = { VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1' };
export const qemu = (host: string) => ({ host, driver: 'qemu' });

export interface Move {
  id: string;
  uuid: string;
  name: string;
  from: string;
  to: string;
  epoch: number;
  options: MigrationOptions;
}

export const move = (spec: Omit<Move, 'id' | 'options'>, options: object = {}): Move => ({
  id: newId(),
  ...spec,
  options: MigrationOptions.parse({ live: true, ...options }),
});

export async function upToPrepared(
  bus: Bus,
  { id, uuid, name, from, to, epoch, options }: Move,
): Promise<MigrationView> {
  const context = { domain: uuid };
  const begun = await callDriver(bus, qemu(from), migrationBegin, { id, peer: qemu(to), options }, context);
  equal(begun.phase, 'begun');
  const { cookie, xml, definition } = begun;
  const { devices } = parseDomain(xml!, { mode: 'inactive' }).domain;
  const disks = devices.disks.map((value) => formatDevice({ list: 'disks', value }, 'inactive'));
  const claim = { driver: 'qemu', name, epoch, revision: 0, uses: [], claim: id, disks, needs: [] };
  const images = await callDriver(bus, { host: to, driver: 'storage' }, storagePrepare, claim, context);
  deepEqual(images.conflicts, []);
  const prepared = { epoch, revision: 0, claim: id, disks: images.disks, images: images.images };
  const ask = { id, peer: qemu(from), options, name, epoch, xml: xml!, definition, cookie: cookie!, prepared };
  return callDriver(bus, qemu(to), migrationPrepare, ask, context);
}

export async function perform(
  bus: Bus,
  { id, uuid, from, options }: Move,
  prepared: MigrationView,
): Promise<MigrationView> {
  const ask = { id, options, uri: prepared.uri!, cookie: prepared.cookie! };
  return callDriver(bus, qemu(from), migrationPerform, ask, { domain: uuid });
}

export function arrive(bus: Bus, { id, uuid, to }: Move, performed: MigrationView): Promise<MigrationView> {
  return callDriver(bus, qemu(to), migrationFinish, { id, cookie: performed.cookie! }, { domain: uuid });
}

export function confirm(bus: Bus, { id, uuid, from }: Move, arrived: MigrationView): Promise<MigrationView> {
  return callDriver(bus, qemu(from), migrationConfirm, { id, cookie: arrived.cookie! }, { domain: uuid });
}

/** From `performed` to the end: it runs there, and nothing of it is left here. */
export async function finish(bus: Bus, one: Move, performed: MigrationView): Promise<void> {
  equal(performed.phase, 'performed', performed.error?.message);
  const done = await arrive(bus, one, performed);
  const { phase, memory, guest } = done;
  const running = { state: 'running', reason: 'migrated' };
  deepEqual({ phase, memory, guest }, { phase: 'finished', memory: 'whole', guest: running });
  equal((await confirm(bus, one, done)).phase, 'confirmed');
}
