/**
 * Why each thing was filled in, in words: a rule per kind of change, by the step that made it and the place it was made.
 *
 * The first rule that fits tells; each step has a last one for all it does.
 */
import type { Controller } from '../elements/controller';
import type { Domain } from '../elements/domain';
import type { Step } from '../passes/options';
import type { Change } from './changes';

export type Stage = 'reading' | Step | 'start';

interface Rule {
  readonly at?: RegExp;
  readonly why: string | ((change: Change, domain: Domain) => string);
}

const machineOf = (domain: Domain): string => domain.os.type?.machine ?? 'this';
const typeOf = (domain: Domain): string => `type '${domain.type}'`;

const rules: Readonly<Record<Stage, readonly Rule[]>> = {
  reading: [
    { at: /\/(memory|currentMemory|maxMemory)$/, why: 'sizes of memory are kept in KiB' },
    { at: /\/graphics\[.*\/(@port|@autoport|listen)/, why: 'a display without a port gets one when the guest starts' },
    { why: 'what a document means that says nothing else' },
  ],
  begin: [{ why: 'as it was read' }],
  order: [
    { at: /\/target\/@bus$/, why: "the name of the disk's target begins as those on this bus do" },
    { why: 'devices stand in the order of their names' },
  ],
  common: [
    { at: /\/uuid$/, why: 'a domain has a uuid; this one was made up now' },
    { at: /\/genid$/, why: 'made up now: the document left it open' },
    { at: /\/on_(poweroff|reboot|crash)$/, why: 'what is done unless the document says otherwise' },
    { at: /\/@arch$/, why: "this host's own architecture" },
    { at: /\/interface\[\d+]\/mac$/, why: "a random address of QEMU's range, made up now; a definition keeps it" },
    { at: /\/mac\/@address$/, why: "a random address of QEMU's range, made up now; a definition keeps it" },
    { at: /\/disk\[.*\/readonly$/, why: 'a CD-ROM is read-only' },
    { at: /\/vcpu\/@placement$/, why: 'vCPUs run where the host puts them unless placement is automatic' },
    { at: /\/vcpu\/@current$/, why: 'all vCPUs are there from the start' },
    { why: 'holds for every guest' },
  ],
  memory: [
    { at: /\/currentMemory$/, why: 'a guest starts with all of its memory unless told otherwise, and never with more' },
    { why: 'what its NUMA cells and memory devices have together' },
  ],
  console: [
    { at: /\/serial\[/, why: "a guest's first console is its first serial port: this one was made for it" },
    { why: "a guest's first serial port is its first console, too" },
  ],
  ports: [{ why: 'ports of a kind are counted from 0' }],
  numbers: [{ why: 'the lowest free number among controllers of its type' }],
  machine: [
    { at: /\/emulator$/, why: (_, domain) => `this host's QEMU for guests of ${typeOf(domain)} and this architecture` },
    { at: /\/os\/type\/@arch$/, why: 'the architecture of the emulator' },
    {
      at: /\/os\/type\/@machine$/,
      why: ({ was }) =>
        was === undefined
          ? "the emulator's own choice of machine"
          : `what '${was}' stands for with this emulator; kept, so that the guest's hardware stays`,
    },
    {
      at: /controller\[@type='usb']/,
      why: ({ value = '' }, domain) =>
        `machine type ${machineOf(domain)} has ${/model='([^']+)/.exec(value)?.[1] ?? 'PIIX3'} USB by default`,
    },
    {
      at: /controller\[@type='sata']/,
      why: (_, domain) => `machine type ${machineOf(domain)} has a SATA controller built in`,
    },
    { at: /controller\[@type='pci']/, why: (_, domain) => `the first PCI bus of machine type ${machineOf(domain)}` },
    { at: /\/memballoon$/, why: "a guest with PCI has a memory balloon unless <memballoon model='none'/> says no" },
    { at: /\/watchdog\[/, why: "the watchdog in the machine's own chipset" },
    { at: /\/panic\[/, why: (_, domain) => `machine type ${machineOf(domain)} has one in any case` },
    { at: /\/cpu$/, why: 'the CPU that this QEMU takes for the machine when none is asked for' },
    { at: /\/cpu\/@migratable$/, why: 'features that would keep the guest on its host are left out' },
    { at: /\/cpu\/@check$/, why: 'how strictly the CPU is compared with what was asked for, by its mode' },
    { at: /\/cpu\//, why: 'what a CPU of this mode means' },
    { at: /\/audio\[/, why: 'where sound goes when the document names no backend' },
    { at: /\/gic/, why: 'the interrupt controller that this host offers' },
    { at: /\/(iommu|ioapic)/, why: 'more than 255 vCPUs need wider interrupts' },
    { at: /\/seclabel\[/, why: 'the model of a label that says none' },
    { why: (_, domain) => `what machine type ${machineOf(domain)} has` },
  ],
  video: [{ why: 'the first video card is the primary one' }],
  devices: [
    { at: /\/driver\/@type$/, why: 'no format was given: raw is meant, because nothing is probed to run a guest' },
    {
      at: /\/driver$/,
      why: ({ value = '' }) =>
        /type='raw'/.test(value)
          ? 'images are served by QEMU; no format was given, so raw is meant'
          : 'images are served by QEMU',
    },
    { at: /\/driver\/@name$/, why: 'images are served by QEMU' },
    {
      at: /\/interface\[\d+]\/model/,
      why: ({ value = '' }) =>
        `a card without a model is ${/type='([^']+)/.exec(value)?.[1] ?? value}, which every guest knows`,
    },
    { at: /\/serial\[\d+]\/target/, why: (_, domain) => `the serial port that machine type ${machineOf(domain)} has` },
    { at: /\/input\[\d+]$/, why: 'part of every PC' },
    { at: /\/input\[\d+]\/@bus$/, why: 'where such an input device sits unless told otherwise' },
    { at: /\/video\[\d+]$/, why: 'a guest with a display has a video card' },
    { at: /\/video\[\d+]\/model\/@type$/, why: 'the card that this QEMU has for guests that name none' },
    { at: /\/video\[\d+]\/model/, why: 'what a card of this type has unless told otherwise' },
    {
      at: /controller\[@type='usb'].*@model$/,
      why: (_, domain) => `the USB controller that guests of machine type ${machineOf(domain)} know`,
    },
    {
      at: /controller\[@type='scsi'].*@model$/,
      why: 'the SCSI controller that this QEMU has for guests that name none',
    },
    { at: /\/rng\[/, why: "the kernel's own source of random numbers" },
    { at: /\/hostdev\[.*@managed$/, why: 'the host takes no driver off a device unless told to' },
    { at: /\/channel\[.*source/, why: 'a socket without a path gets one at each start' },
    { at: /\/listen\[/, why: 'a display that has no port listens nowhere' },
    { why: 'what such a device has unless told otherwise' },
  ],
  drives: [{ why: 'the place that the name of its target stands for' }],
  controllers: [{ why: (change, domain) => `something sits on it: ${sitters(change, domain)}` }],
  boot: [{ why: 'a guest boots from its first hard disk unless told otherwise' }],
  firmware: [{ why: 'chosen among the firmware that is installed on this host' }],
  addresses: [
    {
      at: /controller\[@type='pci'].*]$/,
      why: ({ value = '' }) =>
        /root-port/.test(value)
          ? 'added: a PCI Express device needs a port of its own'
          : 'added: more PCI devices than there were places for',
    },
    { at: /controller\[@type='(\w+)'].*]$/, why: 'added: more devices than the others have room for' },
    { at: /\/hub\[\d+]$/, why: 'added: more USB devices than there were ports for' },
    { at: /\/address$/, why: placeOf },
    { at: /controller\[.*\/target/, why: 'how the guest and its firmware tell this port from the others' },
    { at: /controller\[.*\/model/, why: "QEMU's device for this kind of controller" },
    { why: 'follows from where devices sit' },
  ],
  container: [
    { at: /\/emulator$/, why: "liblxc's program on this host" },
    { at: /\/os\/type\/@arch$/, why: "what programs of this host's kernel are" },
    {
      at: /\/filesystem\[.*\/@accessmode$/,
      why: 'files are seen as they are on the host, with the ids of the container',
    },
    { at: /\/console\[?.*\/target/, why: 'a terminal of a container' },
    { why: 'what a container has unless told otherwise' },
  ],
  start: [
    { at: /\/alias$/, why: 'the name by which the hypervisor and events speak of it; given anew at each start' },
    { at: /\/idmap/, why: "ids of its own, from root's in /etc/subuid: its root is nobody on the host" },
    { why: 'chosen when the guest starts' },
  ],
};

export function reasonOf(stage: Stage, change: Change, domain: Domain): string {
  const rule = rules[stage].find(({ at }) => at === undefined || at.test(change.path));
  const { why } = rule as Rule;
  return typeof why === 'string' ? why : why(change, domain);
}

/** Which disks, channels or consoles a controller was added for. */
function sitters({ path }: Change, { devices }: Domain): string {
  const [, type = '', index = ''] = /@type='([^']+)']\[@index='(\d+)']/.exec(path) ?? [];
  const names = devices.disks
    .filter(
      ({ target, address }) => target.bus === type && address?.type === 'drive' && address.controller === Number(index),
    )
    .map(({ target }) => target.dev ?? '');
  if (names.length > 0) return `${names.length === 1 ? 'disk' : 'disks'} ${names.join(', ')}`;
  if (type === 'virtio-serial') return 'a channel or a console of the guest';
  return type === 'ccid' ? 'a smartcard' : 'a device of the guest';
}

/** Function 1 and up of slots 1 and 31 of the first bus: the south bridge's own controllers. */
const isOnChip = (path: string, part: (name: string) => string | undefined): boolean =>
  path.includes('/controller[') &&
  part('bus') === '0x00' &&
  /^0x(01|1f)$/.test(part('slot') ?? '') &&
  part('function') !== '0x0';

/** `next free slot on pcie-root-port 3`. */
function placeOf({ path, value = '' }: Change, { devices }: Domain): string {
  const part = (name: string): string | undefined => new RegExp(` ${name}='([^']+)'`).exec(value)?.[1];
  const on = (type: string, number: string | undefined): Controller | undefined =>
    devices.controllers.find((one) => one.type === type && one.index === Number(number ?? 0));
  switch (part('type')) {
    case 'pci': {
      if (isOnChip(path, part)) return "where the machine's chipset has it";
      const bus = Number(part('bus') ?? 0);
      const controller = on('pci', String(bus));
      const function_ = part('function') ?? '0x0';
      const shares = function_ !== '0x0' || / multifunction='on'/.test(value);
      return `next free ${shares ? 'function of a slot' : 'slot'} on ${controller?.model ?? 'PCI bus'} ${bus}`;
    }
    case 'usb':
      return `next free port of ${on('usb', part('bus'))?.model ?? 'USB'} controller ${part('bus') ?? 0}`;
    case 'virtio-serial':
      return `next free port of virtio-serial controller ${part('controller') ?? 0}`;
    case 'drive':
      return 'the place that the name of its target stands for';
    default:
      return 'next free place of its bus';
  }
}
