/** Devices that leave a running guest: the guest lets go of one in its own time, asked or not, and QEMU tells when it has. */
import { deviceByAlias, removeDevice, type Device } from '@virtbus/domain-xml';
import type { QemuGuest } from './guest';
import { pendingDevice } from './pending-device';

export class Departures {
  /** Who waits, by alias. */
  private readonly waiting = new Map<string, () => void>();

  /** @param departed takes away what stood behind a device that has left */
  constructor(
    private readonly guest: QemuGuest,
    private readonly departed: (guest: QemuGuest, device: Device) => Promise<void>,
  ) {}

  /** Resolves when the device has left, or rejects with the signal. */
  of(alias: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.set(alias, resolve);
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }

  /** QEMU tells that a device has left: the document loses it, and whoever waits for it goes on. */
  heard(alias: string): void {
    const device = deviceByAlias(this.guest.live, alias);
    if (device) this.leave(device, alias);
    this.waiting.get(alias)?.();
    this.waiting.delete(alias);
  }

  private leave(device: Device, alias: string): void {
    const { guest } = this;
    const { saved } = guest;
    const leaving = pendingDevice(guest.live, alias);
    saved.leaving = [...(saved.leaving ?? []), leaving];
    guest.live = removeDevice(guest.live, device);
    guest.tellLive();
    this.departed(guest, device)
      .then(() => {
        saved.leaving = saved.leaving?.filter((one) => one !== leaving);
        guest.tellLive();
      })
      .catch((err: unknown) => {
        guest.log.warn({ err, alias }, 'cannot take away what stood behind a device');
      });
    guest.tell({ kind: 'event', class: 'device', type: 'removed', data: { alias }, caused: this.waiting.has(alias) });
  }
}
