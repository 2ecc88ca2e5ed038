/**
 * Tap devices of a guest: made for it with the host's `ip` (iproute2), put on their bridge, removed with it.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { copyModel, type Domain, type Interface } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import type { RunUser } from './run-user';

const run = promisify(execFile);
/** Of this host's network devices. */
const devices = '/sys/class/net';
/** QEMU opens its taps here: Debian lets everybody, other hosts only root. */
export const tunDevice = '/dev/net/tun';
/** Names like these are ours to give; others are the definition's. */
const givenName = /^vnet\d+$/;

/** What a tap is marked with (`ip link show` tells it as `alias`): whose it is. */
const markOf = (uuid: string): string => `virtbus ${uuid}`;

/** A copy of the live document in which every interface on a tap names its device. */
export async function makeTaps(live: Domain, user: RunUser | undefined): Promise<Domain> {
  if (!live.devices.interfaces.some(onTap)) return live;
  const made = copyModel(live);
  const done: Interface[] = [];
  try {
    for (const each of made.devices.interfaces) if (await makeTap(each, made.uuid!, user)) done.push(each);
  } catch (error) {
    for (const each of done) await removeTap(each);
    throw error;
  }
  return made;
}

export async function removeTaps(live: Domain, log: Log): Promise<void> {
  for (const each of live.devices.interfaces) {
    await removeTap(each).catch((err: unknown) => log.warn({ err, tap: each.target?.dev }, 'cannot remove a tap'));
  }
}

/** All taps that were made for a guest, also by a process of ours that died before it could write down their names. */
export async function removeTapsOf(uuid: string, log: Log): Promise<void> {
  for (const name of readdirSync(devices)) {
    if (ownerOf(name) !== markOf(uuid)) continue;
    await remove(name).catch((err: unknown) => log.warn({ err, tap: name }, 'cannot remove a tap'));
  }
}

/** As the tap is marked; undefined for a device that has gone meanwhile. */
function ownerOf(name: string): string | undefined {
  try {
    return readFileSync(`${devices}/${name}/ifalias`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Does nothing for an interface without a tap, or whose tap is gone. */
export async function removeTap(each: Interface): Promise<void> {
  const name = each.target?.dev;
  if (onTap(each) && name && existsSync(`${devices}/${name}`)) await remove(name);
}

export const onTap = ({ type, target }: Interface): boolean =>
  type === 'bridge' || (type === 'ethernet' && target?.managed !== false);

/**
 * Makes the tap of an interface and names it in the document; false for one that has none.
 * @param uuid of the guest
 */
export async function makeTap(each: Interface, uuid: string, user: RunUser | undefined): Promise<boolean> {
  if (!onTap(each)) return false;
  const bridge = each.type === 'bridge' ? each.source?.bridge : undefined;
  if (bridge !== undefined && !existsSync(`${devices}/${bridge}/bridge`)) {
    const detail = `Cannot get interface MTU on '${bridge}': there is no such bridge on this host`;
    throw new VirtError('SYSTEM_ERROR', { detail });
  }
  const name = await addTap(each.target?.dev, user);
  each.target = { ...each.target, dev: name };
  try {
    await ip('link', 'set', 'dev', name, 'alias', markOf(uuid));
    if (each.mac?.address) await ip('link', 'set', 'dev', name, 'address', tapAddress(each.mac.address));
    if (bridge !== undefined) await ip('link', 'set', 'dev', name, 'master', bridge);
    await ip('link', 'set', 'dev', name, 'up');
    return true;
  } catch (error) {
    await remove(name);
    throw error;
  }
}

/** @param asked as its definition names it, or as an earlier start of ours did */
async function addTap(asked: string | undefined, user: RunUser | undefined): Promise<string> {
  const isAsked = asked !== undefined && !givenName.test(asked);
  for (;;) {
    const name = isAsked ? asked : freeName();
    try {
      await ip('tuntap', 'add', 'dev', name, 'mode', 'tap', ...(user ? ['user', String(user.uid)] : []));
      return name;
    } catch (error) {
      // Somebody else who starts a guest in this moment has found the same name free.
      if (isAsked || !existsSync(`${devices}/${name}`)) throw error;
    }
  }
}

/**
 * A bridge takes the lowest address of its ports for its own: a tap's is above that of any link. With libvirt's (`fe` and
 * the rest of the guest's) a bridge over a link with a random address took that of the tap now and then, which the guest's
 * tap on another host has, too: while a guest migrates the two hosts do not reach each other then.
 */
const tapAddress = (guest: string): string => guest.replace(/^(..:){3}/, 'fe:ff:ff:');

function freeName(): string {
  for (let n = 0; ; n++) if (!existsSync(`${devices}/vnet${n}`)) return `vnet${n}`;
}

const remove = (name: string): Promise<unknown> => ip('link', 'delete', 'dev', name);

async function ip(...args: string[]): Promise<void> {
  try {
    await run('ip', args);
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new VirtError('SYSTEM_ERROR', { detail: `ip ${args.join(' ')}: ${stderr?.trim() || message}` }, { cause });
  }
}
