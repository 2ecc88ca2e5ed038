/** Parts of a domain document that mean nothing to a container: named, so that none is dropped in silence. */
import type { Device, DeviceFamily } from '../device';
import type { Domain } from '../elements/domain';
import { lineOf } from '../schema';

export interface Part {
  readonly element: string;
  readonly line: number | undefined;
}

/** Families of devices that a container can have. */
const devices: ReadonlySet<DeviceFamily> = new Set(['filesystems', 'interfaces', 'hostdevs', 'consoles', 'disks']);

const features: ReadonlySet<string> = new Set(['privnet', 'capabilities']);
const osParts: ReadonlySet<string> = new Set([
  ...['type', 'init', 'initargs', 'initenvs', 'initdir', 'inituser', 'initgroup'],
]);
const cpuParts: ReadonlySet<string> = new Set(['shares', 'period', 'quota']);
const cardParts: ReadonlySet<string> = new Set([
  ...['type', 'mac', 'source', 'target', 'guest', 'ips', 'routes', 'link', 'mtu', 'vlan', 'alias', 'model'],
]);
const filesystemParts: ReadonlySet<string> = new Set([
  ...['type', 'accessmode', 'driver', 'source', 'target', 'readonly', 'alias'],
]);

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
    ...domain.clock.timers.map((timer) => ({ element: 'timer', line: lineOf(timer) })),
    ...domain.devices.interfaces.flatMap((card) => others(card, cardParts)),
    ...domain.devices.filesystems.flatMap((filesystem) => others(filesystem, filesystemParts)),
    ...all.filter((device) => !devices.has(device.list) && !isAbsent(device)).map(partOf),
  ];
}

/** `<memballoon model='none'/>` says that there is none. */
const isAbsent = ({ list, value }: Device): boolean => list === 'memballoon' && value.model === 'none';

const partOf = ({ list, value }: Device): Part => ({ element: list.replace(/s$/, ''), line: lineOf(value) });

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
