/** What `define` makes of a container's document: defaults and checks, as libvirt's LXC driver has them. */
import type { Domain } from '../elements/domain';
import { fillDefaults } from '../passes/prepare';
import type { PrepareOptions } from '../passes/options';
import { checkLxc } from './check';
import type { LxcCapabilities } from './facts';

/** The part of the capabilities that decides what a document means. */
export type LxcHost = Pick<LxcCapabilities, 'emulator' | 'arches'>;

/** Fills in what a container's document leaves open. */
export function fillLxcDefaults(domain: Domain, host: LxcHost, options: PrepareOptions = {}): Domain {
  const filled = fillDefaults(domain, undefined, options);
  if (filled.os.type) filled.os.type.arch ??= host.arches[0];
  const { devices } = filled;
  devices.emulator ??= host.emulator;
  for (const filesystem of devices.filesystems) filesystem.accessmode ??= 'passthrough';
  for (const console of devices.consoles) console.target = { ...console.target, type: console.target?.type ?? 'lxc' };
  return filled;
}

/** All that `define` does after reading. Throws one VirtError that names everything that is wrong. */
export function prepareLxcDomain(domain: Domain, host: LxcHost, options: PrepareOptions = {}): Domain {
  const filled = fillLxcDefaults(domain, host, options);
  checkLxc(filled, host);
  return filled;
}
