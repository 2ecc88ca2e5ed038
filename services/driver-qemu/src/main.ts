/** `node services/driver-qemu`: the QEMU driver of one host. */
import { join } from 'node:path';
import { runDriver } from '@virtbus/driver-runtime';
import { runService } from '@virtbus/shared/service';
import { QemuDriver } from './driver';
import { GuestCgroup } from './guest-cgroup';
import { findRunUser } from './run-user';
import { settings } from './settings';

runService({
  name: 'driver-qemu',
  settings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: (service) => {
    const { values, log } = service;
    return runDriver(service, (state) =>
      QemuDriver.open({
        cache: join(state, 'qemu', 'capabilities'),
        nvram: join(state, 'nvram'),
        run: join(values.runDir, values.host, 'qemu'),
        emulators: values.emulators,
        user: findRunUser(values.qemuUser, log),
        sandbox: values.sandbox,
        cgroup: values.cgroup === undefined ? undefined : GuestCgroup.open(values.cgroup),
        backupCertificates: values.backupCertificates,
        migration: {
          address: values.migrationAddress,
          ports: values.migrationPorts,
          silenceMs: values.migrationSilenceMs,
          sharedFolders: values.sharedFolders ?? [],
        },
        log,
      }),
    );
  },
});
