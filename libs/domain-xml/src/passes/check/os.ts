/** What is booted, firmware, SMBIOS, security labels. */
import { lineOf } from '../../schema';
import { isX86 } from '../machine';
import type { Rule } from './rule';

const bootOrder: Rule = ({ domain: { devices, os }, faults }) => {
  const bootable = [
    ...devices.disks,
    ...devices.interfaces,
    ...devices.hostdevs,
    ...devices.redirdevs,
    ...devices.filesystems,
  ];
  const seen = new Map<number, number | undefined>();
  for (const device of bootable) {
    const order = device.boot?.order;
    if (order === undefined) continue;
    const line = lineOf(device.boot);
    if (seen.has(order))
      faults.add('XML_ERROR', `boot order '${order}' used for more than one device`, { element: 'boot', line });
    seen.set(order, line);
    if (os.boot.length > 0 && seen.size === 1)
      faults.add('CONFIG_UNSUPPORTED', 'per-device boot elements cannot be used together with os/boot elements', {
        element: 'boot',
        line,
      });
  }
};

const bootMenu: Rule = ({ domain: { os }, faults }) => {
  const timeout = os.bootmenu?.timeout;
  if (timeout !== undefined && timeout > 65535)
    faults.add('CONFIG_UNSUPPORTED', 'invalid value for boot menu timeout, must be in range [0,65535]', {
      element: 'bootmenu',
      line: lineOf(os.bootmenu),
    });
};

const firmware: Rule = ({ domain, caps, faults }) => {
  const { loader, nvram, firmware: kind, firmwareFeatures } = domain.os;
  const where = { element: 'loader', line: lineOf(loader ?? nvram ?? domain.os) };
  const refuse = (detail: string): void => faults.add('CONFIG_UNSUPPORTED', detail, where);
  if (
    loader &&
    kind === undefined &&
    loader.path === undefined &&
    loader.stateless === undefined &&
    loader.type === 'pflash'
  )
    refuse('no loader path specified and firmware auto selection disabled');
  if (loader?.stateless && nvram)
    refuse(
      nvram.template !== undefined
        ? 'NVRAM template is not permitted when loader is stateless'
        : 'NVRAM is not permitted when loader is stateless',
    );
  if (kind === 'bios' && (nvram || loader?.stateless === false)) refuse('Only EFI firmware permits NVRAM');
  const enabled = (feature: string): boolean | undefined =>
    firmwareFeatures?.features.find((one) => one.name === feature)?.enabled;
  if (enabled('enrolled-keys') && enabled('secure-boot') === false)
    refuse("firmware feature 'enrolled-keys' cannot be enabled when firmware feature 'secure-boot' is disabled");
  const isEfi = kind === 'efi' || loader?.type === 'pflash';
  if (!isEfi && domain.features.acpi && domain.os.type?.arch === 'aarch64' && caps)
    refuse('ACPI requires UEFI on this architecture');
  if (isEfi && !domain.features.acpi && (isX86(domain) || domain.os.type?.arch === 'aarch64'))
    refuse('UEFI requires ACPI on this architecture');
};

const smbios: Rule = ({ domain, faults }) => {
  for (const info of domain.sysinfos) {
    const where = { element: 'sysinfo', line: lineOf(info) };
    const entry = (group: 'bios' | 'system', key: string): string | undefined =>
      info[group]?.entries.find((one) => one.name === key)?.value;
    const date = entry('bios', 'date');
    if (date !== undefined && !isDate(date)) faults.add('XML_ERROR', "Invalid BIOS 'date' format", where);
    const uuid = entry('system', 'uuid');
    if (uuid !== undefined && domain.uuid !== undefined && uuid.toLowerCase() !== domain.uuid)
      faults.add('XML_ERROR', 'UUID mismatch between <uuid> and <sysinfo>', where);
  }
};

/** `mm/dd/yy` or `mm/dd/yyyy`. */
function isDate(text: string): boolean {
  const [month = 0, day = 0, year = -1] = (/^(\d{1,2})\/(\d{1,2})\/(\d{2}|\d{4})$/.exec(text) ?? [])
    .slice(1)
    .map(Number);
  return month >= 1 && month <= 12 && day >= 1 && day <= 31 && (year < 100 ? year >= 0 : year >= 1900);
}

const seclabels: Rule = ({ domain, faults }) => {
  const seen = new Set<string | undefined>();
  for (const label of domain.seclabels) {
    const where = { element: 'seclabel', line: lineOf(label) };
    if (label.model === undefined && domain.seclabels.length > 1)
      faults.add('XML_ERROR', 'missing security model when using multiple labels', where);
    else if (seen.has(label.model))
      faults.add('XML_ERROR', `seclabel for model ${label.model} is already provided`, where);
    seen.add(label.model);
  }
  for (const disk of domain.devices.disks) {
    const labels = disk.source?.seclabels ?? [];
    const models = labels.map(({ model }) => model);
    if (labels.length > 1 && (models.includes(undefined) || new Set(models).size < models.length))
      faults.add('XML_ERROR', 'missing security model when using multiple labels', {
        element: 'seclabel',
        line: lineOf(labels[0]),
      });
  }
};

export const osRules: readonly Rule[] = [bootOrder, bootMenu, firmware, smbios, seclabels];
