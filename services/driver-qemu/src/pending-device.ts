/** A device that joins or leaves a guest, as it is kept until that is done: a driver that comes back goes on with it. */
import { deviceByAlias, formatDomain, parseDomain, type Device, type Domain } from '@virtbus/domain-xml';

export interface PendingDevice {
  alias: string;
  /** A live document of the guest that has it. */
  xml: string;
  /** Of a disk. */
  target?: string | undefined;
}

export function pendingDevice(domain: Domain, alias: string): PendingDevice {
  const device = deviceByAlias(domain, alias);
  const target = device?.list === 'disks' ? device.value.target.dev : undefined;
  return { alias, xml: formatDomain(domain, { view: 'live', secrets: true }), target };
}

export function deviceOf({ alias, xml }: PendingDevice): { domain: Domain; device: Device } | undefined {
  const { domain } = parseDomain(xml, { mode: 'live', unknown: 'warn' });
  const device = deviceByAlias(domain, alias);
  return device && { domain, device };
}
