/** Gives every device its place, bus by bus. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { fail, Faults } from '../../schema';
import { assignCcw } from './ccw';
import { assignPci, plugPci } from './pci';
import { assignSpaprVio } from './spapr-vio';
import type { PrepareOptions } from '../options';
import { assignUsb } from './usb';
import { assignVirtioMmio } from './virtio-mmio';
import { assignZpci } from './zpci';
import { assignDimms, assignVirtioSerial } from './virtio-serial';

/** In place; the model then says where everything is, so that it never moves. */
export function assignAll(domain: Domain, caps: QemuCapabilities, options: PrepareOptions): void {
  placeAll(
    () => assignVirtioSerial(domain),
    () => assignCcw(domain),
    () => assignSpaprVio(domain),
    () => assignVirtioMmio(domain),
    () => assignDimms(domain),
    () => {
      assignPci(domain, caps);
      assignZpci(domain, caps);
    },
    () => assignUsb(domain, options.newDefinition === true),
  );
}

/** Bus by bus; what is wrong on one keeps nobody from looking at the next. */
function placeAll(...buses: (() => void)[]): void {
  const faults = new Faults();
  for (const assign of buses) faults.attempt(assign);
  faults.throwIfAny();
}

/** The same for a running guest: places only on buses that are there. */
export function plugAddresses(domain: Domain, caps: QemuCapabilities): void {
  const before = domain.devices.controllers.length;
  const hubs = domain.devices.hubs.length;
  placeAll(
    () => assignVirtioSerial(domain),
    () => assignCcw(domain),
    () => assignDimms(domain),
    () => {
      plugPci(domain, caps);
      assignZpci(domain, caps);
    },
    () => assignUsb(domain, true),
  );
  if (domain.devices.controllers.length > before || domain.devices.hubs.length > hubs)
    fail(
      'OPERATION_FAILED',
      'the device needs a controller that the running guest does not have; plug the controller first',
    );
}
