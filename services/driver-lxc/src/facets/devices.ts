/**
 * Devices that join and leave a running container: file systems, network cards, device nodes.
 *
 * liblxc boots again from the configuration of the start, so what has come and gone since is remembered: after a reboot from inside
 * it is done again.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  accessRule,
  deviceByAlias,
  findDevice,
  firstFree,
  formatDevice,
  parseDevice,
  plugLxcDevice,
  removeDevice,
  type Device,
  type Domain,
  type Filesystem,
  type Interface,
} from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { innerCgroup } from '../cgroups';
import { deviceAt, isFile, mapsMount } from '../configuration';
import type { LxcGuest } from '../guest';
import { isLinked, isOnHost, plugLink, unplugLink } from '../links';
import { endPrefix } from '../live';
import type { Machine } from '../machine';
import { isMounted, mountInto, unmountFrom } from '../mounts';
import { ownNode } from '../own-nodes';
import { wordsOf } from '../programs';
import { checkCards } from '../start-checks';
import { writeLimit } from './limits';

const run = promisify(execFile);
type Devices = NonNullable<Facets<LxcGuest>['devices']>;

export function devicesFacet(machine: Machine): Devices {
  return {
    attach: (guest, asked) => guest.inTurn(() => attach(guest, asked, machine)),
    detach: (guest, asked) => guest.inTurn(() => detach(guest, asked, machine)),
    update: async () => {
      throw new VirtError('OPERATION_UNSUPPORTED', {
        detail: "a container's devices cannot be changed while it runs; detach and attach",
      });
    },
  };
}

async function attach(guest: LxcGuest, asked: Device, machine: Machine): Promise<Device> {
  const { domain, device } = planned(guest, asked, machine);
  await bring(guest, device, machine);
  try {
    writeDown(guest, () => {
      guest.live = domain;
      guest.saved.plugged = [...guest.saved.plugged, aliasOf(device)];
      guest.saved.joining = undefined;
      tell(guest, device, 'added');
    });
  } catch (error) {
    await unplug(guest, device, machine).catch((err: unknown) =>
      guest.log.warn({ err, alias: aliasOf(device) }, 'a device that is in no document cannot be taken away'),
    );
    throw error;
  }
  return device;
}

async function detach(guest: LxcGuest, asked: Device, machine: Machine): Promise<Device> {
  const device = findDevice(guest.live, asked);
  await take(guest, device, machine);
  writeDown(guest, () => {
    forget(guest, device);
    tell(guest, device, 'removed');
  });
  return device;
}

/** A document that cannot be written has not changed: the command can be given again. */
function writeDown(guest: LxcGuest, change: () => void): void {
  const { live } = guest;
  const { plugged } = guest.saved;
  try {
    change();
  } catch (error) {
    guest.live = live;
    guest.saved.plugged = plugged;
    try {
      guest.tellLive();
    } catch {
      // Nor can this one: it is there as it was.
    }
    throw error;
  }
}

function forget(guest: LxcGuest, device: Device): void {
  guest.live = removeDevice(guest.live, device);
  guest.saved.plugged = guest.saved.plugged.filter((name) => name !== aliasOf(device));
}

/** One that joined, and cannot be brought again after a reboot, is not there: its document does not say so any more. */
export function lose(guest: LxcGuest, device: Device, reason: string): void {
  forget(guest, device);
  guest.tellLive();
  guest.tell({ kind: 'event', class: 'device', type: 'removed', data: { alias: aliasOf(device), reason } });
}

/** Written down before it begins: what it was booted with comes with each boot, also while we are not there. */
async function take(guest: LxcGuest, device: Device, machine: Machine): Promise<void> {
  const { left, plugged } = guest.saved;
  if (!plugged.includes(aliasOf(device))) {
    guest.saved.left = [...new Set([...(left ?? []), formatDevice(device)])];
    guest.tell({ kind: 'saved' });
  }
  try {
    await unplug(guest, device, machine);
  } catch (error) {
    guest.saved.left = left;
    guest.tell({ kind: 'saved' });
    throw error;
  }
}

/** Written down before it begins, so that whoever comes after a crash of ours takes away what nobody knows of. */
async function bring(guest: LxcGuest, device: Device, machine: Machine): Promise<void> {
  // What is in its place already is not ours to take away.
  if (!(await isThere(guest, device))) guest.saved.joining = formatDevice(device);
  try {
    guest.tell({ kind: 'saved' });
    await plug(guest, device, machine);
  } catch (error) {
    guest.saved.joining = undefined;
    guest.tell({ kind: 'saved' });
    throw error;
  }
}

/** After a crash of ours: a device that was joining is not in the document. Its command, given again, brings it. */
export async function leaveJoining(guest: LxcGuest, machine: Machine): Promise<void> {
  const { joining } = guest.saved;
  if (joining === undefined) return;
  const device = parseDevice(joining);
  if (deviceByAlias(guest.live, aliasOf(device))) {
    // We died between the document and this note.
    guest.saved.plugged = [...new Set([...guest.saved.plugged, aliasOf(device)])];
    guest.saved.joining = undefined;
    return guest.tell({ kind: 'saved' });
  }
  await unplug(guest, device, machine).catch((err: unknown) => guest.log.info({ err }, 'it had not come so far'));
  guest.saved.joining = undefined;
  const event = { class: 'device' as const, type: 'add-failed', data: { alias: aliasOf(device) } };
  if (device.list === 'disks') {
    const chains = { [device.value.target.dev ?? '']: undefined };
    guest.tell({ kind: 'images', chains, definition: (config) => config, event });
  } else {
    guest.tellLive();
    guest.tell({ kind: 'event', ...event });
  }
}

/** Something is in its place, whoever has put it there. */
export async function isThere(guest: LxcGuest, device: Device): Promise<boolean> {
  if (device.list === 'interfaces') return isLinked(guest.initPid, device.value);
  const { target } = device.list === 'filesystems' ? mountOf(device.value, guest.live) : nodeOf(device);
  return isMounted(guest.initPid, target);
}

/** The document with the device in it, complete: defaults, a name, for a card its ends. */
function planned(guest: LxcGuest, asked: Device, { capabilities }: Machine): { domain: Domain; device: Device } {
  const { domain, device } = plugLxcDevice(guest.live, asked, capabilities);
  if (device.list === 'interfaces') nameEnds(guest, device.value);
  return { domain, device };
}

/** The first names that are free, inside and on the host; those that it asks for stay. */
function nameEnds(guest: LxcGuest, card: Interface): void {
  const { interfaces, hostdevs } = guest.live.devices;
  const ofHost = hostdevs.flatMap(({ type, source }) => (type === 'net' ? [source?.interface] : []));
  const inside = new Set([...interfaces.map((other) => other.guest?.dev), ...ofHost]);
  const { dev } = card.guest ?? {};
  if (dev !== undefined && inside.has(dev))
    throw new VirtError('OPERATION_INVALID', { detail: `the container has a network card '${dev}' already` });
  card.guest = { ...card.guest, dev: dev ?? firstFree('eth', (name) => inside.has(name)) };
  if (card.type === 'direct' || card.target?.dev !== undefined) return;
  const outside = new Set(interfaces.map(({ target }) => target?.dev));
  const end = firstFree(endPrefix(guest.place), (name) => outside.has(name) || isOnHost(name));
  card.target = { ...card.target, dev: end };
}

export async function plug(guest: LxcGuest, device: Device, machine: Machine): Promise<void> {
  const pid = guest.initPid;
  switch (device.list) {
    case 'filesystems':
      return mountFolder(guest, device.value);
    case 'interfaces':
      if (!['bridge', 'direct', 'ethernet'].includes(device.value.type)) {
        throw unsupported(`an <interface type='${device.value.type}'>`);
      }
      checkCards({ devices: { ...guest.live.devices, interfaces: [device.value], hostdevs: [] } });
      return plugLink(pid, device.value);
    default: {
      const node = nodeOf(device);
      const { path, target, readonly } = node;
      guest.given.mustNotHold(path, 'a device');
      try {
        await allow(guest, machine, 'devices.allow', node);
        const source = await ownNode(guest.live, guest.place, path);
        return await mountInto(pid, { source, target, readonly, kind: 'file', mapped: false });
      } catch (error) {
        if (!isGiven(guest, node)) await forbid(guest, machine, node);
        throw error;
      }
    }
  }
}

export async function unplug(guest: LxcGuest, device: Device, machine: Machine): Promise<void> {
  const pid = guest.initPid;
  switch (device.list) {
    case 'filesystems':
      if (device.value.target?.dir === '/') throw unsupported('to lose its root file system');
      return unmountFrom(pid, device.value.target!.dir!);
    case 'interfaces':
      return unplugLink(pid, device.value);
    default: {
      const node = nodeOf(device);
      // Where an earlier attempt came so far, the rest is done.
      if (isMounted(pid, node.target)) await unmountFrom(pid, node.target);
      if (!isGiven(guest, node, aliasOf(device))) await forbid(guest, machine, node);
    }
  }
}

/** From what was opened, where a container could put something else in its place meanwhile. */
async function mountFolder({ initPid, live, given }: LxcGuest, filesystem: Filesystem): Promise<void> {
  const { source: path } = mountOf(filesystem, live);
  given.give([filesystem]);
  using opened = given.open(path);
  await mountInto(initPid, mountOf(filesystem, live, opened?.path));
}

/** @param path of the folder on the host */
function mountOf(
  { type, source, target, readonly }: Filesystem,
  live: Domain,
  path = source?.dir,
): Parameters<typeof mountInto>[1] {
  if (type !== 'mount' || path === undefined) throw unsupported(`a <filesystem type='${type}'> while it runs`);
  if (!target?.dir?.startsWith('/') || target.dir === '/') {
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: '<filesystem> needs a <target dir> below /' });
  }
  const kind = isFile(path) ? 'file' : 'dir';
  const mapped = existsSync(path) && mapsMount(live, path);
  return { source: path, target: target.dir, readonly: readonly === true, kind, mapped };
}

interface Node {
  path: string;
  target: string;
  readonly: boolean;
}

function nodeOf(device: Device): Node {
  if (device.list === 'disks' && device.value.type === 'block' && device.value.source?.dev) {
    const { source, target, readonly } = device.value;
    return { path: source.dev!, target: `/dev/${target.dev}`, readonly: readonly === true };
  }
  if (device.list === 'hostdevs' && device.value.type !== 'net') {
    const path = device.value.source?.block ?? device.value.source?.char;
    if (path !== undefined) return { path, target: path, readonly: device.value.readonly === true };
  }
  throw unsupported('this device while it runs');
}

/** Version 1 takes a rule in a file; on version 2 rules are a program, which liblxc makes. */
async function allow(guest: LxcGuest, machine: Machine, file: string, { path, readonly }: Node): Promise<void> {
  const node = deviceAt(path);
  if (!node) throw new VirtError('SYSTEM_ERROR', { detail: `the host has no device '${path}'` });
  if (guest.cgroup.version('devices') === undefined) {
    throw new VirtError('OPERATION_INVALID', { detail: "devices cgroup isn't mounted" });
  }
  const rule = accessRule(node, readonly);
  if (guest.cgroup.version('devices') === 1) {
    // A group below cannot have what the one above has not, and does not get what that one gains.
    for (const place of [file, join(innerCgroup, file)]) {
      writeLimit(guest.cgroup, 'devices', [place, rule], [place, rule]);
    }
    return;
  }
  const { lxcPath, name } = guest.place;
  const program = join(dirname(machine.capabilities.emulator), 'lxc-cgroup');
  await run(program, ['-P', lxcPath, '-n', name, file, rule]).catch((cause: unknown) => {
    throw new VirtError('OPERATION_FAILED', { detail: `cannot set ${file}: ${wordsOf(cause)}` }, { cause });
  });
}

/** Whether a device that the container has already is the same node. @param but not this one, by its alias */
const isGiven = ({ live }: LxcGuest, { path }: Node, but?: string): boolean =>
  live.devices.disks.some(({ source, alias }) => source?.dev === path && alias?.name !== (but ?? '')) ||
  live.devices.hostdevs.some(
    ({ source, alias }) => (source?.block === path || source?.char === path) && alias?.name !== (but ?? ''),
  );

/** Nothing in the container leads to the device by then; one that has gone from the host cannot be named any more. */
async function forbid(guest: LxcGuest, machine: Machine, node: Node): Promise<void> {
  await allow(guest, machine, 'devices.deny', node).catch((err: unknown) => {
    guest.log.warn({ err, device: node.path }, 'the right to a device cannot be taken away');
  });
}

const unsupported = (what: string): VirtError =>
  new VirtError('CONFIG_UNSUPPORTED', { detail: `a container cannot have ${what}` });

function tell(guest: LxcGuest, device: Device, type: 'added' | 'removed'): void {
  guest.tellLive();
  guest.tell({ kind: 'event', class: 'device', type, data: { alias: aliasOf(device) }, caused: true });
}

export function aliasOf({ value }: Device): string {
  return (value as { alias?: { name: string } | undefined }).alias?.name ?? '';
}
