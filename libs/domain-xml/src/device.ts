/**
 * One device of a domain: read by itself, found in a document, added, removed, replaced.
 *
 * Each function gives a new domain. Which existing device a document means follows libvirt: disks by target, interfaces by
 * MAC address, controllers by type and index, the rest by alias, address or what they say.
 */
import { isDeepStrictEqual } from 'node:util';
import { VirtError } from '@virtbus/shared';
import { devices, type Devices } from './elements/devices';
import type { Domain } from './elements/domain';
import { insertDisk } from './passes/controllers';
import { copyModel, type Element } from './schema';
import { formatElement } from './schema/format';
import { parseElement, type Warning } from './schema/parse';
import { readXml } from './xml/reader';

/** Families that a guest can have many of, and those it has one of. */
type Many = {
  [K in keyof Devices]-?: Devices[K] extends readonly (infer T extends object)[] ? { list: K; value: T } : never;
}[keyof Devices];
type Single = 'memballoon' | 'vsock' | 'iommu' | 'nvram' | 'redirfilter' | 'pstore';

/** A device with the family it belongs to: `device.list` narrows `device.value`. */
export type Device = Many | { [K in Single]: { list: K; value: NonNullable<Devices[K]> } }[Single];
export type DeviceFamily = Device['list'];

type Loose = Record<string, unknown> & { alias?: { name?: string | undefined } | undefined; address?: unknown };

interface Family {
  element: Element;
  many: boolean;
}

const families = new Map<string, Family>(
  Object.entries(devices.fields).flatMap(([list, field]) =>
    field.kind === 'many' || field.kind === 'one'
      ? [[list, { element: field.element!(), many: field.kind === 'many' }] as const]
      : [],
  ),
);
const listOfElement = new Map([...families].map(([list, { element }]) => [element.name, list]));

/**
 * Reads one device element. Throws XML_ERROR for an element that is no device.
 * @param ignored gets what nobody knows and what has no effect; without it that is refused
 */
export function parseDevice(xml: string, ignored?: Warning[]): Device {
  const root = readXml(xml);
  const list = listOfElement.get(root.name);
  if (list === undefined) {
    const known = [...listOfElement.keys()].join(', ');
    throw new VirtError('XML_ERROR', {
      detail: `unknown device type '${root.name}'; known: ${known}`,
      element: root.name,
      line: root.line,
    });
  }
  const { model, warnings } = parseElement(families.get(list)!.element, root, {
    mode: 'inactive',
    unknown: ignored ? 'warn' : 'refuse',
  });
  ignored?.push(...warnings);
  return { list, value: model } as unknown as Device;
}

export function formatDevice(device: Device, view: 'inactive' | 'live' = 'live'): string {
  const { element } = families.get(device.list)!;
  return formatElement(element, device.value, { view, secrets: false, migratable: false });
}

/** Every device of a domain, family by family in the order of the document. */
export function allDevices(domain: Domain): Device[] {
  const all = domain.devices as unknown as Record<string, unknown>;
  return [...families].flatMap(([list, { many }]) => {
    const found = all[list];
    const values = many ? (found as unknown[]) : found === undefined ? [] : [found];
    return values.map((value) => ({ list, value }) as Device);
  });
}

export function deviceByAlias(domain: Domain, alias: string): Device | undefined {
  return allDevices(domain).find(({ value }) => (value as Loose).alias?.name === alias);
}

/** The device of the domain that this one means. Throws DEVICE_MISSING. */
export function findDevice(domain: Domain, device: Device): Device {
  const candidates = allDevices(domain).filter(({ list }) => list === device.list);
  const found = candidates.filter((candidate) => means(candidate, device));
  if (found.length === 1) return found[0]!;
  const what = nameOf(device);
  if (found.length > 1) {
    throw new VirtError('OPERATION_FAILED', {
      detail: `multiple devices match ${what}; say more, its <address> or <alias>`,
    });
  }
  throw new VirtError('DEVICE_MISSING', { detail: `the domain has no ${what}` });
}

/** A copy with the device added. Throws OPERATION_INVALID when its place is taken. */
export function addDevice(domain: Domain, device: Device): Domain {
  const copy = copyModel(domain);
  const all = copy.devices as unknown as Record<string, unknown>;
  if (device.list === 'disks') {
    const { dev } = device.value.target;
    if (copy.devices.disks.some((disk) => disk.target.dev === dev)) {
      throw new VirtError('OPERATION_INVALID', { detail: `target '${dev}' already exists` });
    }
    insertDisk(copy.devices.disks, device.value);
    return copy;
  }
  if (device.list === 'interfaces') {
    const address = device.value.mac?.address;
    if (address !== undefined && copy.devices.interfaces.some(({ mac }) => mac?.address === address)) {
      throw new VirtError('OPERATION_INVALID', { detail: `an interface with MAC address ${address} already exists` });
    }
  }
  if (families.get(device.list)!.many) (all[device.list] as unknown[]).push(device.value);
  else if (all[device.list] === undefined) all[device.list] = device.value;
  else throw new VirtError('OPERATION_INVALID', { detail: `the domain has a ${nameOf(device)} already` });
  return copy;
}

/** A copy without the device. Throws DEVICE_MISSING. */
export function removeDevice(domain: Domain, device: Device): Domain {
  return put(domain, findDevice(domain, device), []);
}

/** A copy in which the device has taken the place of the one it means; its alias and address stay. Throws DEVICE_MISSING. */
export function replaceDevice(domain: Domain, device: Device): Domain {
  const old = findDevice(domain, device);
  const { alias, address } = old.value as Loose;
  const kept = { ...(alias ? { alias } : {}), ...(address ? { address } : {}) };
  return put(domain, old, [{ ...kept, ...(device.value as Loose) }]);
}

function put(domain: Domain, old: Device, values: unknown[]): Domain {
  const all = domain.devices as unknown as Record<string, unknown>;
  const { many } = families.get(old.list)!;
  const changed = many
    ? (all[old.list] as unknown[]).flatMap((value) => (value === old.value ? values : [value]))
    : values[0];
  return copyModel({ ...domain, devices: { ...domain.devices, [old.list]: changed } });
}

/** Whether `asked` means this device of the domain. */
function means(candidate: Device, asked: Device): boolean {
  const [have, want] = [candidate.value as Loose, asked.value as Loose];
  if (want.alias?.name !== undefined) return have.alias?.name === want.alias.name;
  if (candidate.list === 'disks' && asked.list === 'disks')
    return candidate.value.target.dev === asked.value.target.dev;
  if (want.address !== undefined) return isDeepStrictEqual(have.address, want.address);
  if (candidate.list === 'interfaces' && asked.list === 'interfaces' && asked.value.mac?.address !== undefined) {
    return candidate.value.mac?.address === asked.value.mac.address;
  }
  if (candidate.list === 'controllers' && asked.list === 'controllers') {
    return candidate.value.type === asked.value.type && candidate.value.index === asked.value.index;
  }
  return says(have, want);
}

/** Everything that `want` says, `have` says too. */
function says(have: unknown, want: unknown): boolean {
  if (want === undefined) return true;
  if (Array.isArray(want)) {
    return (
      want.length === 0 ||
      (Array.isArray(have) && want.length === have.length && want.every((one, i) => says(have[i], one)))
    );
  }
  if (typeof want !== 'object' || want === null) return have === want;
  if (typeof have !== 'object' || have === null) return false;
  return Object.entries(want).every(([key, value]) => says((have as Loose)[key], value));
}

/** `disk vda`, `interface 52:54:…`: for people. */
function nameOf(device: Device): string {
  const { name } = families.get(device.list)!.element;
  const alias = (device.value as Loose).alias?.name;
  if (device.list === 'disks') return `disk ${device.value.target.dev ?? ''}`.trim();
  if (device.list === 'interfaces') return `interface ${device.value.mac?.address ?? alias ?? ''}`.trim();
  return alias ? `${name} ${alias}` : name;
}
