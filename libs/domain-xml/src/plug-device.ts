/** Hot-plug: a device joins a running guest, on buses that are there. */
import type { QemuCapabilities } from './capabilities';
import { addDevice, allDevices, type Device } from './device';
import { isUserAlias, type DeviceInfo } from './elements/device-info';
import type { Domain } from './elements/domain';
import { plugAddresses } from './passes/addresses/assign';
import { nameDevices } from './passes/aliases';
import type { PrepareOptions } from './passes/options';
import { checkAll } from './passes/check/check';
import { fillInPlace } from './passes/prepare';
import { copyModel } from './schema';

/**
 * The running domain with one device more, and that device complete: defaults filled in, a free place (a PCI Express device takes a
 * free root port), an alias. Throws OPERATION_INVALID when there is such a device already, XML_ERROR when no bus has room, and
 * OPERATION_FAILED when it would take a controller that the guest lacks.
 */
export function plugDevice(
  domain: Domain,
  added: Device,
  caps: QemuCapabilities,
  options: PrepareOptions = {},
): { domain: Domain; device: Device } {
  return plugWith(domain, added, (plugged) => {
    fillInPlace(plugged, caps, options);
    plugAddresses(plugged, caps);
    nameDevices(plugged);
    checkAll(plugged, caps);
  });
}

/**
 * What plugging is for any hypervisor.
 * @param complete makes the document whole again, in place: defaults, the new device's alias, checks
 */
export function plugWith(
  domain: Domain,
  added: Device,
  complete: (plugged: Domain) => void,
): { domain: Domain; device: Device } {
  const fresh = copyModel(added);
  const info = fresh.value as DeviceInfo;
  if (info.alias && !isUserAlias(info.alias.name)) delete info.alias;
  const before = new Set(allDevices(domain).map(({ value }) => (value as DeviceInfo).alias?.name));
  const plugged = addDevice(domain, fresh);
  complete(plugged);
  const device = allDevices(plugged).find(
    ({ list, value }) => list === fresh.list && !before.has((value as DeviceInfo).alias?.name),
  );
  return { domain: plugged, device: device ?? fresh };
}
