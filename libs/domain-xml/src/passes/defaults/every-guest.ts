/**
 * Defaults that hold for any hypervisor: sizes, order of devices, ports of character devices, the first console.
 */
import { randomUUID } from 'node:crypto';
import type { Disk, DiskBus } from '../../elements/disk';
import type { Domain } from '../../elements/domain';
import type { Controller } from '../../elements/controller';
import type { Serial } from '../../elements/chardev';
import { withoutRepetition } from '../../metadata';
import { formatSet, lineOf, parseSet, type Faults } from '../../schema';
import { insertController, insertDisk } from '../controllers';
import type { PrepareOptions } from '../options';

/** Before anything else: what the order and the names in the document imply. */
export function arrange(domain: Domain): void {
  const disks: Disk[] = [];
  for (const disk of domain.devices.disks) {
    disk.target.bus ??= busOfTarget(disk);
    if (disk.device === 'floppy' && disk.target.bus === undefined) disk.target.bus = 'fdc';
    insertDisk(disks, disk);
  }
  domain.devices.disks = disks;
  const controllers: Controller[] = [];
  for (const controller of domain.devices.controllers) insertController(controllers, controller);
  domain.devices.controllers = controllers;
}

const busOfPrefix: readonly (readonly [string, DiskBus])[] = [
  ['fd', 'fdc'],
  ['hd', 'ide'],
  ['sd', 'scsi'],
  ['vd', 'virtio'],
  ['xvd', 'xen'],
  ['ubd', 'uml'],
];

function busOfTarget({ target }: Disk): DiskBus | undefined {
  const name = target.dev ?? '';
  return busOfPrefix.find(([prefix]) => name.startsWith(prefix))?.[1];
}

export function fillCommon(domain: Domain, faults: Faults, options: PrepareOptions): void {
  domain.uuid ??= (options.newUuid ?? randomUUID)();
  if (domain.genid === '') domain.genid = (options.newUuid ?? randomUUID)();
  if (domain.title?.includes('\n'))
    faults.add('XML_ERROR', "Domain title can't contain newlines", { element: 'title', line: lineOf(domain) });
  domain.on_poweroff ??= 'destroy';
  domain.on_reboot ??= 'restart';
  domain.on_crash ??= 'destroy';
  if (domain.os.type?.name === 'hvm') domain.os.type.arch ??= hostArch();
  keepKnownThreads(domain);
  fillVcpus(domain);
  dropRepeatedMetadata(domain);
  fillInterfaces(domain, options);
  fillDisks(domain);
}

const hostArchitectures: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  ia32: 'i686',
  arm64: 'aarch64',
  ppc64: 'ppc64le',
};
const hostArch = (): string => hostArchitectures[process.arch] ?? process.arch;

/** More I/O threads than this serve nobody. */
const mostThreads = 65535;

/** Groups of vCPUs name only those that there are; an I/O thread has a number. */
function keepKnownThreads(domain: Domain): void {
  const { cputune, vcpu, iothreadids } = domain;
  if (iothreadids && iothreadids.iothreads.length > 0) {
    const wanted = Math.max(Math.min(domain.iothreads ?? 0, mostThreads), iothreadids.iothreads.length);
    const taken = new Set(iothreadids.iothreads.map(({ id }) => id));
    for (let id = 1; taken.size < wanted; id++) {
      if (taken.has(id)) continue;
      taken.add(id);
      iothreadids.iothreads.push({ id });
    }
    domain.iothreads = wanted;
  }
  if (!cputune) return;
  const own = (set: string): string => formatSet((parseSet(set) ?? []).filter((number) => number < vcpu.count));
  for (const tune of [...cputune.cachetunes, ...cputune.memorytunes]) tune.vcpus = own(tune.vcpus);
  cputune.cachetunes = cputune.cachetunes.filter(({ vcpus }) => vcpus !== '');
  cputune.memorytunes = cputune.memorytunes.filter(({ vcpus }) => vcpus !== '');
}

/** Of several elements of one namespace the first stays. */
function dropRepeatedMetadata(domain: Domain): void {
  if (domain.metadata !== undefined) domain.metadata = withoutRepetition(domain.metadata);
}

function fillVcpus({ vcpu, numatune }: Domain): void {
  if (vcpu.placement === undefined) {
    const automatic = vcpu.cpuset === undefined && numatune?.memory?.placement === 'auto';
    vcpu.placement = automatic ? 'auto' : 'static';
  }
  if (vcpu.placement === 'auto') delete vcpu.cpuset;
  const memory = numatune?.memory;
  if (memory) {
    memory.placement ??= memory.nodeset !== undefined || vcpu.placement !== 'auto' ? 'static' : 'auto';
    if (memory.placement === 'auto') delete memory.nodeset;
    memory.mode ??= 'strict';
  }
  if (vcpu.current === vcpu.count) delete vcpu.current;
}

function fillInterfaces({ devices }: Domain, options: PrepareOptions): void {
  for (const card of devices.interfaces) card.mac ??= { address: (options.newMac ?? randomMac)() };
}

/** In QEMU's own range. */
function randomMac(): string {
  const byte = (): string =>
    Math.floor(Math.random() * 256)
      .toString(16)
      .padStart(2, '0');
  return `52:54:00:${byte()}:${byte()}:${byte()}`;
}

function fillDisks({ devices }: Domain): void {
  for (const disk of devices.disks) {
    if (disk.device === 'cdrom') disk.readonly = true;
    if (disk.type === 'vhostuser') disk.snapshot ??= 'no';
    if (disk.source && isEmptySource(disk)) delete disk.source.file;
  }
}

const isEmptySource = ({ type, source }: Disk): boolean => type === 'file' && source?.file === '';

/** The memory that a guest starts with: what it is given, or what its NUMA cells have. */
export function fillMemory(domain: Domain, faults: Faults, options: PrepareOptions): void {
  if (options.newDefinition || domain.memory.kib === 0) {
    const inCells = (domain.cpu?.numa?.cells ?? []).reduce((sum, cell) => sum + cell.memory, 0);
    const plugged = domain.devices.memories.reduce((sum, device) => sum + device.target.size, 0);
    if (inCells > 0) domain.memory.kib = inCells + plugged;
  }
  if (domain.memory.kib === 0)
    faults.add('XML_ERROR', 'Memory size must be specified via <memory> or in the <numa> configuration', {
      element: 'memory',
      line: lineOf(domain),
    });
  if (domain.currentMemory === undefined || domain.currentMemory === 0 || domain.currentMemory > domain.memory.kib)
    domain.currentMemory = domain.memory.kib;
}

/** Ports that were not given, counting on from the highest one. */
export function fillPorts({ devices }: Domain): void {
  const number = (list: { target?: { port?: number | undefined } | undefined }[]): void => {
    let next = Math.max(-1, ...list.map((one) => one.target?.port ?? -1)) + 1;
    for (const one of list) {
      one.target ??= {};
      if (one.target.port === undefined) one.target.port = next++;
    }
  };
  number(devices.serials);
  number(devices.parallels);
  devices.consoles.forEach((console, index) => {
    console.target ??= {};
    const mirrored = index === 0 && console.target.type === 'serial' ? devices.serials[0] : undefined;
    console.target.port = mirrored?.target?.port ?? index;
  });
}

/**
 * A fully virtualised guest's first console is its first serial port: whichever of the two the document lacks is made from the
 * other.
 */
export function fillConsole(domain: Domain): void {
  const { consoles, serials } = domain.devices;
  if (domain.os.type?.name !== 'hvm') return;
  const [console] = consoles;
  const [serial] = serials;
  if (console === undefined) {
    if (serial !== undefined && isConsoleSerial(serial))
      consoles.push({ ...backendOf(serial), target: { type: 'serial' } });
    return;
  }
  console.target ??= {};
  console.target.type ??= 'serial';
  if (console.target.type !== 'serial') {
    if (serial && isConsoleSerial(serial)) consoles.unshift({ ...backendOf(serial), target: { type: 'serial' } });
    return;
  }
  if (serial === undefined) {
    const { target: _target, tty: _tty, ...rest } = console;
    serials.push({ ...rest, sources: [...console.sources], target: { port: 0 } });
  } else if (isConsoleSerial(serial)) {
    const { alias, address } = console;
    consoles[0] = {
      ...backendOf(serial),
      target: console.target,
      ...(alias && { alias }),
      ...(address && { address }),
    };
  }
}

const isConsoleSerial = ({ target }: Serial): boolean =>
  target?.type === undefined ||
  ['isa-serial', 'none', 'spapr-vio-serial', 'system-serial', 'sclp-serial'].includes(target.type);

const backendOf = ({ type, sources, protocol, log }: Serial) => ({
  type,
  sources: sources.map((one) => ({ ...one })),
  ...(protocol && { protocol }),
  ...(log && { log }),
});

/** What is booted when the document does not say. */
export function fillBoot({ os, devices }: Domain): void {
  if (os.type?.name !== 'hvm' || os.boot.length > 0) return;
  const bootable: { boot?: unknown }[] = [
    ...devices.disks,
    ...devices.interfaces,
    ...devices.hostdevs,
    ...devices.redirdevs,
    ...devices.filesystems,
  ];
  if (!bootable.some((device) => device.boot !== undefined)) os.boot.push({ dev: 'hd' });
}

/** Video memory, screens, and which card is the first. */
export function fillVideo({ devices }: Domain): void {
  const { videos } = devices;
  const [first] = videos;
  if (first && !videos.some((one) => one.model?.primary)) {
    const model = (first.model ??= { type: 'default' });
    if (model.type !== 'none') model.primary = true;
  }
  // The primary card comes first.
  const primary = videos.findIndex((one) => one.model?.primary);
  if (primary > 0) videos.unshift(...videos.splice(primary, 1));
}
