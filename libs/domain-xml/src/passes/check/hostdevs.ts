/** Devices of the host. */
import type { Hostdev } from '../../elements/hostdev';
import { lineOf } from '../../schema';
import type { Rule } from './rule';

/** What of the host a device is, as a key; undefined where two may be the same. */
function identity({ type, source }: Hostdev): string | undefined {
  if (!source?.address && source?.wwpn === undefined) return undefined;
  const { address, adapter, protocol, name, wwpn } = source;
  return JSON.stringify([type, protocol, name, wwpn, adapter?.name, address]);
}

const twice: Rule = ({ domain, faults }) => {
  const seen = new Set<string>();
  for (const hostdev of domain.devices.hostdevs) {
    const key = identity(hostdev);
    if (key === undefined) continue;
    if (seen.has(key))
      faults.add('XML_ERROR', 'Hostdev already exists in the domain configuration', {
        element: 'hostdev',
        line: lineOf(hostdev),
      });
    seen.add(key);
  }
};

const placed: Rule = ({ domain, faults }) => {
  for (const hostdev of domain.devices.hostdevs) {
    const where = { element: 'hostdev', line: lineOf(hostdev) };
    const { type, model, address } = hostdev;
    if (type === 'mdev' && address && !['pci', 'ccw'].includes(address.type))
      faults.add(
        'XML_ERROR',
        `Unsupported address type '${address.type}' with mediated device model '${model}'`,
        where,
      );
    if (type === 'scsi_host' && hostdev.boot)
      faults.add('CONFIG_UNSUPPORTED', 'booting from assigned devices is not supported by vhost SCSI devices', where);
    if (hostdev.sgio && type !== 'scsi') faults.add('XML_ERROR', 'sgio is only supported for scsi host device', where);
    if (hostdev.rawio !== undefined && type !== 'scsi')
      faults.add('XML_ERROR', 'rawio is only supported for scsi host device', where);
  }
};

const displays: Rule = ({ domain: { devices }, faults }) => {
  const where = (hostdev: Hostdev) => ({ element: 'hostdev', line: lineOf(hostdev) });
  const shown = devices.hostdevs.filter(({ display }) => display);
  const [first, second] = shown;
  if (first && devices.graphics.length === 0)
    faults.add(
      'CONFIG_UNSUPPORTED',
      "graphics device is needed for attribute value 'display=on' in <hostdev>",
      where(first),
    );
  if (second) faults.add('CONFIG_UNSUPPORTED', "Only one vgpu device can have 'display' enabled", where(second));
  const [, another] = devices.hostdevs.filter(({ ramfb }) => ramfb);
  if (another) faults.add('CONFIG_UNSUPPORTED', "Only one vgpu device can have 'ramfb' enabled", where(another));
};

export const hostdevRules: readonly Rule[] = [twice, placed, displays];
