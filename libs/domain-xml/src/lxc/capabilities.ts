/** What a container can be given, as data: the checks refuse everything else, and clients are told of it. */
import type { LxcCapabilities } from './facts';

export const filesystemTypes: readonly string[] = ['mount', 'bind', 'block', 'file', 'ram'];
export const interfaceTypes: readonly string[] = ['bridge', 'ethernet', 'direct'];
export const hostdevTypes: readonly string[] = ['storage', 'misc', 'net'];

/** libvirt's `domcapabilities` of containers; the same shape as of QEMU's guests where they have something in common. */
interface LxcDomainCapabilities {
  readonly path: string;
  readonly domain: 'lxc';
  readonly arch: string;
  readonly devices: Readonly<
    Record<string, { readonly supported: boolean; readonly enums: Readonly<Record<string, readonly string[]>> }>
  >;
  readonly features: Readonly<Record<string, boolean>>;
  /** Which elements can limit a container on this host. */
  readonly limits: Readonly<Record<'memtune' | 'swap' | 'cputune' | 'vcpuCpuset' | 'numatune' | 'blkiotune', boolean>>;
  readonly seclabels: readonly string[];
}

/** Undefined when programs for `arch` do not run here. */
export function lxcDomainCapabilities(
  { emulator, arches, cgroups, apparmor, selinux }: LxcCapabilities,
  arch: string | undefined = arches[0],
): LxcDomainCapabilities | undefined {
  if (arch === undefined || !arches.includes(arch)) return undefined;
  const { versions, blkioWeight, swap } = cgroups;
  const device = (enums: Readonly<Record<string, readonly string[]>>) => ({ supported: true, enums });
  return {
    path: emulator,
    domain: 'lxc',
    arch,
    devices: {
      filesystem: device({ type: filesystemTypes }),
      interface: device({ type: interfaceTypes }),
      hostdev: device({ mode: ['capabilities'], capsType: hostdevTypes }),
      disk: device({ type: ['block'], diskDevice: ['disk'] }),
      console: device({ type: ['pty'], targetType: ['lxc'] }),
    },
    features: { privnet: true, capabilities: true, idmap: true, namespaceSharing: true },
    limits: {
      memtune: versions.memory !== undefined,
      swap: versions.memory !== undefined && swap,
      cputune: versions.cpu !== undefined,
      vcpuCpuset: versions.cpuset !== undefined,
      numatune: versions.cpuset !== undefined,
      blkiotune: versions.blkio !== undefined && blkioWeight !== undefined,
    },
    seclabels: ['none', ...(apparmor ? ['apparmor'] : []), ...(selinux ? ['selinux'] : [])],
  };
}
