/** What kind of machine a domain asks for, as the passes need to know it. */
import type { Domain } from '../elements/domain';

/** The machine type, or an empty string. */
export const machineOf = (domain: Domain): string => domain.os.type?.machine ?? '';

export const archOf = (domain: Domain): string => domain.os.type?.arch ?? 'x86_64';

export const isX86 = (domain: Domain): boolean => archOf(domain) === 'x86_64' || archOf(domain) === 'i686';

/** Processes on the host's kernel: devices are files, there is no machine with buses to put them on. */
export const isContainer = (domain: Domain): boolean => domain.os.type?.name === 'exe';

/** Intel Q35: PCI Express, SATA, ICH9. */
export const isQ35 = (domain: Domain): boolean => isX86(domain) && /^(q35$|pc-q35-)/.test(machineOf(domain));

/** Intel 440FX: PCI, IDE, PIIX3. */
export const isI440fx = (domain: Domain): boolean =>
  isX86(domain) && /^(pc$|pc-0\.|pc-1\.|pc-i440fx-|rhel|pc-$)/.test(machineOf(domain));

export const isArmVirt = (domain: Domain): boolean =>
  /^(aarch64|armv7l)$/.test(archOf(domain)) && /^virt(-|$)/.test(machineOf(domain));
export const isRiscvVirt = (domain: Domain): boolean =>
  /^riscv/.test(archOf(domain)) && /^virt(-|$)/.test(machineOf(domain));
export const isLoongarchVirt = (domain: Domain): boolean =>
  archOf(domain) === 'loongarch64' && /^virt(-|$)/.test(machineOf(domain));
/** Other PowerPC machines: mac99, g3beige, powernv. */
export const isPowerPci = (domain: Domain): boolean => /^ppc/.test(archOf(domain)) && !isPseries(domain);
/** ARM boards of the kind that QEMU emulates whole. */
export const isVersatile = (domain: Domain): boolean => /^(versatile|realview)/.test(machineOf(domain));
export const isPseries = (domain: Domain): boolean =>
  /^ppc64/.test(archOf(domain)) && /^pseries(-|$)/.test(machineOf(domain));
export const isS390Ccw = (domain: Domain): boolean => archOf(domain) === 's390x' && /^s390-ccw/.test(machineOf(domain));
export const isIsaPc = (domain: Domain): boolean => machineOf(domain) === 'isapc';

/** Small boards have none, whatever a document says. */
export const supportsPci = (domain: Domain): boolean =>
  !/^(aarch64|arm|riscv)/.test(archOf(domain)) ||
  isArmVirt(domain) ||
  isRiscvVirt(domain) ||
  machineOf(domain) === 'versatilepb';

/** The machine's bus 0 is PCI Express. */
export const hasPcieRoot = (domain: Domain): boolean =>
  domain.devices.controllers.some((one) => one.type === 'pci' && one.model === 'pcie-root');

export const hasPciRoot = (domain: Domain): boolean =>
  domain.devices.controllers.some((one) => one.type === 'pci' && one.model === 'pci-root');
