/** What `define` makes of a container's document: defaults and checks, as libvirt's LXC driver has them. */
import type { Device } from '../device';
import type { Domain } from '../elements/domain';
import { nameDevices } from '../passes/aliases';
import type { PrepareOptions } from '../passes/options';
import { fillInPlace } from '../passes/prepare';
import { plugWith } from '../plug-device';
import { copyModel } from '../schema';
import { checkLxc } from './check';
import type { LxcCapabilities } from './facts';

/** The part of the capabilities that decides what a document means. */
export type LxcHost = Pick<LxcCapabilities, 'emulator' | 'arches'>;

/** Fills in what a container's document leaves open. */
export function fillLxcDefaults(domain: Domain, host: LxcHost, options: PrepareOptions = {}): Domain {
  const copy = copyModel(domain);
  fillLxc(copy, host, options);
  return copy;
}

function fillLxc(domain: Domain, host: LxcHost, options: PrepareOptions): void {
  fillInPlace(domain, undefined, options);
  const arch = host.arches[0];
  if (domain.os.type && arch !== undefined) domain.os.type.arch ??= arch;
  const { devices } = domain;
  devices.emulator ??= host.emulator;
  for (const filesystem of devices.filesystems) filesystem.accessmode ??= 'passthrough';
  for (const console of devices.consoles) console.target = { ...console.target, type: console.target?.type ?? 'lxc' };
  options.watch?.('container', domain);
}

/** All that `define` does after reading. Throws one VirtError that names everything that is wrong. */
export function prepareLxcDomain(domain: Domain, host: LxcHost, options: PrepareOptions = {}): Domain {
  const filled = fillLxcDefaults(domain, host, options);
  checkLxc(filled, host);
  return filled;
}

/**
 * The running container with one device more, and that device complete and named. Throws OPERATION_INVALID when there is such a
 * device already, and what `prepareLxcDomain` does.
 */
export function plugLxcDevice(
  domain: Domain,
  added: Device,
  host: LxcHost,
  options: PrepareOptions = {},
): { domain: Domain; device: Device } {
  return plugWith(domain, added, (plugged) => {
    fillLxc(plugged, host, options);
    nameDevices(plugged);
    checkLxc(plugged, host);
  });
}
