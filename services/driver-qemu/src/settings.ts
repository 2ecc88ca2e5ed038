/** Settings of the QEMU driver, beside those of every driver. */
import { driverSettings } from '@virtbus/driver-runtime';
import { bool, list, setting } from '@virtbus/shared/config';
import { z } from 'zod';

export const settings = {
  ...driverSettings,
  emulators: setting(
    'VIRTBUS_QEMU_EMULATORS',
    list.optional(),
    'QEMU binaries, comma separated; every qemu-system-* on the path when left out',
  ),
  qemuUser: setting(
    'VIRTBUS_QEMU_USER',
    z.string().default('virtbus-qemu'),
    'user that guests run as, when the driver runs as root',
  ),
  sandbox: setting('VIRTBUS_QEMU_SANDBOX', bool.default(true), "QEMU's seccomp sandbox"),
};
