/**
 * Which guest of this host has which of its USB devices: a device serves one guest. Kept in memory; a driver that comes back
 * hears of them from the guests that it finds.
 */
import type { Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { usbNode } from './usb-devices';

type Hostdev = Domain['devices']['hostdevs'][number];
type Holder = Pick<Domain, 'uuid' | 'name'>;

export class UsbClaims {
  /** By the device's node. */
  private readonly holders = new Map<string, Holder>();

  /** All of them or none. Throws OPERATION_INVALID when a guest has one already, this one or another. */
  take({ uuid, name }: Holder, hostdevs: readonly Hostdev[]): void {
    const nodes = nodesOf(hostdevs);
    for (const [index, node] of nodes.entries()) {
      const holder = nodes.indexOf(node) < index ? { name } : this.holders.get(node);
      if (holder)
        throw new VirtError('OPERATION_INVALID', { detail: `USB device ${node} is in use by domain '${holder.name}'` });
    }
    for (const node of nodes) this.holders.set(node, { uuid, name });
  }

  /** A guest that was found has them, whatever is known of others. */
  found({ uuid, name, devices }: Domain): void {
    for (const node of nodesOf(devices.hostdevs)) this.holders.set(node, { uuid, name });
  }

  /** One has left its guest. */
  giveBack(hostdev: Hostdev): void {
    for (const node of nodesOf([hostdev])) this.holders.delete(node);
  }

  /** The guest is gone. */
  giveBackAll({ uuid }: Holder): void {
    for (const [node, holder] of this.holders) if (holder.uuid === uuid) this.holders.delete(node);
  }
}

const nodesOf = (hostdevs: readonly Hostdev[]): string[] => hostdevs.flatMap((one) => usbNode(one) ?? []);
