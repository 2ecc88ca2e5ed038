/** Defaults of the QEMU driver that concern the domain as a whole: emulator, machine, CPU, features, built-in devices. */
import {
  acceleratorFor,
  defaultMachine,
  findMachine,
  supportsDomainType,
  type QemuCapabilities,
} from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { fail, formatSet, lineOf, parseSet } from '../../schema';
import { ensureController, findController } from '../controllers';
import {
  archOf,
  isArmVirt,
  isI440fx,
  isLoongarchVirt,
  isPseries,
  isQ35,
  isRiscvVirt,
  isS390Ccw,
  isPowerPci,
  isVersatile,
  machineOf,
} from '../machine';
import type { PrepareOptions } from '../options';

export function fillQemu(domain: Domain, caps: QemuCapabilities, options: PrepareOptions): void {
  fillOs(domain, caps);
  addBuiltInDevices(domain, caps);
  fillCpu(domain, caps);
  fillFeatures(domain, caps);
  if (options.newDefinition) fillWideInterrupts(domain);
  fillCells(domain);
  addAudio(domain);
  for (const label of domain.seclabels) if (label.type === 'none') label.model ??= 'none';
}

/** Architectures that a binary for a wider one runs as well. */
const narrower: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['i686'],
  aarch64: ['armv7l'],
  ppc64: ['ppc64le'],
};

function fillOs(domain: Domain, caps: QemuCapabilities): void {
  const { os, devices } = domain;
  const where = { element: 'os', line: lineOf(os) };
  if (os.type?.name === undefined) fail('XML_ERROR', 'an os <type> must be specified', where);
  if (os.type.name !== 'hvm') fail('OS_TYPE', `unexpected OS type ${os.type.name}; expected 'hvm'`, where);
  const emulator = (devices.emulator ??= caps.emulator);
  os.type.arch ??= caps.arch;
  const runs = [caps.arch, ...(narrower[caps.arch] ?? [])];
  if (!runs.includes(os.type.arch))
    fail('CONFIG_UNSUPPORTED', `Emulator '${emulator}' does not support arch '${os.type.arch}'`, where);
  if (!supportsDomainType(caps, domain.type))
    fail('CONFIG_UNSUPPORTED', `Emulator '${emulator}' does not support virt type '${domain.type}'`, {
      element: 'domain',
      line: lineOf(domain),
    });
  const asked = os.type.machine;
  const machine = asked === undefined ? defaultMachine(caps, domain.type) : findMachine(caps, domain.type, asked);
  if (machine) os.type.machine = machine.name;
  else if (asked !== undefined && caps.accelerators[domain.type === 'kvm' ? 'kvm' : 'tcg'])
    fail(
      'CONFIG_UNSUPPORTED',
      `Emulator '${emulator}' does not support machine type '${asked}'. It has ${movingNames(caps, domain.type)} and their versions`,
      where,
    );
}

/** The machine types of a binary, without the versions of each. */
const movingNames = (caps: QemuCapabilities, domainType: string): string =>
  [
    ...new Set(
      acceleratorFor(caps, domainType).machines.map(({ name, alias }) => alias ?? name.replace(/-[\d.]+$/, '')),
    ),
  ]
    .sort()
    .join(', ');

/** Controllers and devices that the machine has in any case. */
function addBuiltInDevices(domain: Domain, caps: QemuCapabilities): void {
  const { devices } = domain;
  let usb: string | undefined | false = undefined;
  let pciRoot: 'pci-root' | 'pcie-root' | undefined;
  if (isQ35(domain)) {
    pciRoot = 'pcie-root';
    usb = caps.flags.has('qemu-xhci')
      ? 'qemu-xhci'
      : caps.flags.has('nec-usb-xhci')
        ? 'nec-xhci'
        : caps.flags.has('ich9-usb-ehci1')
          ? 'ich9-ehci1'
          : false;
  } else if (isI440fx(domain)) {
    pciRoot = 'pci-root';
    usb = caps.flags.has('piix3-usb-uhci') ? undefined : false;
  } else if (isArmVirt(domain) || isRiscvVirt(domain) || isLoongarchVirt(domain)) {
    usb = false;
    pciRoot = 'pcie-root';
  } else if (isPseries(domain)) pciRoot = 'pci-root';
  else if (isS390Ccw(domain)) {
    usb = false;
    pciRoot = 'pci-root';
  } else if (isPowerPci(domain) || isVersatile(domain)) {
    if (!/^realview/.test(machineOf(domain))) pciRoot = 'pci-root';
    if (isVersatile(domain) && caps.flags.has('pci-ohci')) usb = 'pci-ohci';
  } else usb = false;
  if (usb !== false && !devices.controllers.some((one) => one.type === 'usb')) ensureController(domain, 'usb', 0, usb);
  if (isQ35(domain)) ensureController(domain, 'sata', 0);
  if (pciRoot) {
    const root = findController(domain, 'pci', 0);
    if (root && root.model !== undefined && root.model !== pciRoot)
      fail(
        'XML_ERROR',
        `The PCI controller with index='0' must be model='${pciRoot}' for this machine type, but model='${root.model}' was found instead`,
        { element: 'controller', line: lineOf(root) },
      );
    ensureController(domain, 'pci', 0, pciRoot);
  }
  const isArm = /^(aarch64|arm)/.test(domain.os.type?.arch ?? '');
  if (!devices.memballoon && pciRoot && !isArm && !isLoongarchVirt(domain)) devices.memballoon = { model: 'virtio' };
  if (isS390Ccw(domain) && devices.panics.length === 0) devices.panics.push({ model: 's390' });
  if (isPseries(domain) && devices.panics.length === 0) devices.panics.push({ model: 'pseries' });
  if (isQ35(domain) && !devices.watchdogs.some((one) => one.model === 'itco'))
    devices.watchdogs.push({ model: 'itco', action: devices.watchdogs[0]?.action ?? 'reset' });
}

function fillCpu(domain: Domain, caps: QemuCapabilities): void {
  const { cpu } = domain;
  if (cpu && (cpu.mode ?? 'custom') !== 'custom') {
    cpu.check ??= cpu.mode === 'host-model' ? 'partial' : 'none';
    requireVectors(cpu);
    if (cpu.mode !== 'host-model' && caps.flags.has('cpu.migratable')) cpu.migratable ??= true;
    return;
  }
  if (cpu?.model?.name !== undefined) {
    cpu.mode = 'custom';
    cpu.check ??= domain.type === 'qemu' ? 'none' : 'partial';
    return;
  }
  const arch = archOf(domain);
  // The host's kernel decides, and QEMU knows no better default than that.
  if (domain.type !== 'qemu' && /^(aarch64|armv7l)$/.test(arch)) return;
  if (domain.type === 'kvm' && arch === 's390x') {
    domain.cpu = { ...(cpu ?? { features: [] }), mode: 'host-model', check: 'partial' };
    return;
  }
  const machine = findMachine(caps, domain.type, domain.os.type?.machine ?? '');
  const model = machine?.defaultCpu === undefined ? undefined : cpuName(caps, domain.type, machine.defaultCpu);
  if (model === undefined) return;
  domain.cpu = {
    ...(cpu ?? { features: [] }),
    mode: 'custom',
    match: 'exact',
    check: 'none',
    model: { fallback: 'forbid', name: model },
  };
}

/** ARM: lengths of vectors are those of an extension, which is then there. */
function requireVectors({ features }: NonNullable<Domain['cpu']>): void {
  const length = features.find(({ name, policy }) => /^sve\d+$/.test(name) && policy === 'require');
  if (length && !features.some(({ name }) => name === 'sve')) features.push({ name: 'sve', policy: 'require' });
}

/** The name by which people know a CPU type of QEMU: `POWER9` rather than `power9_v2.0-powerpc64-cpu`. */
function cpuName(caps: QemuCapabilities, domainType: string, typename: string): string {
  const versioned = typename.replace(/-[^-]*-cpu$/, '');
  const names = acceleratorFor(caps, domainType).cpus.filter((one) => one.typename === typename);
  return names.find(({ name }) => name.toLowerCase() !== versioned.toLowerCase())?.name ?? versioned;
}

/** More than 255 vCPUs need an IOMMU with wider interrupts, and those QEMU's own I/O APIC. */
function fillWideInterrupts(domain: Domain): void {
  if (!isQ35(domain) || domain.vcpu.count <= 255) return;
  const iommu = (domain.devices.iommu ??= { model: 'intel' });
  if (iommu.model !== 'intel') return;
  const driver = (iommu.driver ??= {});
  driver.intremap ??= true;
  if (driver.intremap) driver.eim ??= true;
  if (driver.intremap) domain.features.ioapic ??= { driver: 'qemu' };
}

function fillFeatures(domain: Domain, caps: QemuCapabilities): void {
  const { features } = domain;
  if (isArmVirt(domain)) fillInterruptController(domain, caps);
  if (features.hyperv) features.hyperv.mode ??= 'custom';
}

/** The newest interrupt controller that KVM offers; emulation keeps to the one that every guest knows. */
function fillInterruptController({ features, type }: Domain, { gicVersions = [] }: QemuCapabilities): void {
  const gic = (features.gic ??= {});
  const offered = type === 'kvm' ? ['3', '2'] : ['2', '3'];
  gic.version ??= offered.find((version) => gicVersions.includes(version)) === '3' ? '3' : '2';
}

/** vCPUs that no NUMA cell names belong to the first one. */
function fillCells({ cpu, vcpu }: Domain): void {
  const cells = cpu?.numa?.cells ?? [];
  const [first] = cells;
  if (first === undefined || cells.every((cell) => cell.cpus === undefined)) return;
  const named = new Set(cells.flatMap((cell) => parseSet(cell.cpus ?? '') ?? []));
  const rest = Array.from({ length: vcpu.count }, (_, number) => number).filter((number) => !named.has(number));
  if (rest.length > 0) first.cpus = formatSet([...(parseSet(first.cpus ?? '') ?? []), ...rest].sort((a, b) => a - b));
}

export function addAudio({ devices }: Domain): void {
  if (devices.audios.length > 0) return;
  const types = devices.graphics.map((one) => one.type);
  const shown = types.includes('spice') ? 'spice' : types.find((one) => one === 'vnc');
  // Other ways to look at a guest bring no sound of their own.
  if (shown === undefined && devices.graphics.length > 0) return;
  devices.audios.push({ id: 1, type: shown === 'spice' ? 'spice' : 'none' });
}
