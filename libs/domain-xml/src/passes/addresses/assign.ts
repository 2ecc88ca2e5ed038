/** Gives every device its place, bus by bus. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { assignPci } from './pci';
import { assignUsb } from './usb';
import { assignCcid, assignVirtioSerial } from './virtio-serial';

/** In place; the model then says where everything is, so that it never moves. */
export function assignAll(domain: Domain, caps: QemuCapabilities): void {
  assignVirtioSerial(domain);
  assignCcid(domain);
  assignPci(domain, caps);
  assignUsb(domain);
}
