/** Settings of the QEMU driver, beside those of every driver. */
import { driverSettings } from '@virtbus/driver-runtime';
import { bool, list, setting } from '@virtbus/shared/config';
import { z } from 'zod';
import { certificateFolder } from './certificates';

const portRange = z
  .string()
  .regex(/^\d{1,5}-\d{1,5}$/, 'must be two ports, as 49152-49215')
  .transform((text) => {
    const [first = 0, last = 0] = text.split('-').map(Number);
    return { first, last };
  })
  .refine(({ first, last }) => first >= 1 && first <= last && last <= 65_535, 'must be two ports, the lower first');

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
  migrationAddress: setting(
    'VIRTBUS_MIGRATION_ADDRESS',
    z.string().min(1).optional(),
    'address or name under which other hosts reach this one; its first address on a network when left out',
  ),
  migrationPorts: setting(
    'VIRTBUS_MIGRATION_PORTS',
    portRange.default({ first: 49_152, last: 49_215 }),
    'ports for guests that come here, as FIRST-LAST',
  ),
  migrationSilenceMs: setting(
    'VIRTBUS_MIGRATION_SILENCE_MS',
    z.coerce.number().int().positive().default(30_000),
    'how long a transfer between hosts may stand still before it is given up, milliseconds',
  ),
  backupCertificates: setting(
    'VIRTBUS_BACKUP_CERTIFICATES',
    z.string().startsWith('/').default(certificateFolder),
    'folder of the certificates that pulls with TLS show: ca-cert.pem, server-cert.pem, server-key.pem',
  ),
  sharedFolders: setting(
    'VIRTBUS_SHARED_FOLDERS',
    list.optional(),
    'folders that lie at the same path on every host, comma separated, beside what network file systems tell',
  ),
  cgroup: setting(
    'VIRTBUS_QEMU_CGROUP',
    z.string().min(1).optional(),
    'cgroup that guests run in, below the root of each hierarchy; that of this service when left out',
  ),
  sandbox: setting('VIRTBUS_QEMU_SANDBOX', bool.default(true), "QEMU's seccomp sandbox"),
};
