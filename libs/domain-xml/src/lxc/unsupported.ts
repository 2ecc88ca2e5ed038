/** Parts of a domain document that mean nothing to a container: named, so that none is dropped in silence. */
import type { Device, DeviceFamily } from '../device';
import type { Domain } from '../elements/domain';
import { lineOf } from '../schema';

export interface Part {
  readonly element: string;
  readonly line: number | undefined;
}

const features = new Set(['privnet', 'capabilities']);
const osParts = new Set(['type', 'init', 'initargs', 'initenvs', 'initdir', 'inituser', 'initgroup']);
const cpuParts = new Set(['shares', 'period', 'quota']);
const memoryParts = new Set(['hard_limit', 'soft_limit', 'swap_hard_limit']);

/** Families of devices that a container can have, and what can be said of each. */
const deviceParts: Readonly<Partial<Record<DeviceFamily, ReadonlySet<string>>>> = {
  filesystems: new Set('type accessmode driver source target readonly space_hard_limit alias'.split(' ')),
  interfaces: new Set('type mac source vlan ips routes target guest link mtu alias'.split(' ')),
  hostdevs: new Set(['mode', 'type', 'source', 'ips', 'routes', 'readonly', 'alias']),
  consoles: new Set(['type', 'tty', 'sources', 'log', 'target', 'alias']),
  disks: new Set(['type', 'device', 'driver', 'source', 'target', 'readonly', 'alias']),
};

/** Members of the document that are QEMU's alone. */
const foreign = [
  ...(['genid', 'maxMemory', 'memoryBacking', 'vcpus', 'iothreads', 'iothreadids', 'defaultiothread'] as const),
  ...(['sysinfos', 'throttlegroups', 'bootloader', 'bootloader_args', 'cpu', 'pm', 'perf', 'keywrap'] as const),
  ...(['launchSecurity', 'qemuCommandline', 'qemuCapabilities', 'qemuDeprecation', 'qemuOverride'] as const),
] satisfies (keyof Domain)[];

/** Every part of the document that no container can have. */
export function unsupportedParts(domain: Domain, all: readonly Device[]): Part[] {
  const line = lineOf(domain);
  return [
    ...foreign.filter((key) => isSaid(domain[key])).map((key) => ({ element: key, line: lineIn(domain[key]) ?? line })),
    ...others(domain.os, osParts),
    ...others(domain.features, features),
    ...others(domain.cputune, cpuParts),
    ...others(domain.memtune, memoryParts),
    ...domain.clock.timers.map((timer) => ({ element: 'timer', line: lineOf(timer) })),
    ...all.filter((device) => !isAbsent(device)).flatMap(partsOf),
  ];
}

/** `<memballoon model='none'/>` says that there is none. */
const isAbsent = ({ list, value }: Device): boolean => list === 'memballoon' && value.model === 'none';

function partsOf({ list, value }: Device): Part[] {
  const known = deviceParts[list];
  return known ? others(value, known) : [{ element: list.replace(/s$/, ''), line: lineOf(value) }];
}

function others(part: object | undefined, known: ReadonlySet<string>): Part[] {
  return Object.entries(part ?? {})
    .filter(([key, value]) => !known.has(key) && isSaid(value))
    .map(([key, value]) => ({ element: key, line: lineIn(value) ?? lineOf(part) }));
}

const isSaid = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);

function lineIn(value: unknown): number | undefined {
  const [first] = Array.isArray(value) ? (value as unknown[]) : [value];
  return typeof first === 'object' && first !== null ? lineOf(first) : undefined;
}
