/** `node services/driver-qemu`: the QEMU driver of one host. */
import { join } from 'node:path';
import { driverMain } from '@virtbus/driver-runtime';
import { QemuDriver } from './driver';
import { findRunUser } from './run-user';
import { settings } from './settings';

driverMain('driver-qemu', settings, join(__dirname, '..', 'package.json'), (values, { state, log }) =>
  QemuDriver.open({
    cache: join(state, 'qemu', 'capabilities'),
    nvram: join(state, 'nvram'),
    run: join(values.runDir, values.host, 'qemu'),
    emulators: values.emulators,
    user: findRunUser(values.qemuUser, log),
    sandbox: values.sandbox,
    migration: {
      address: values.migrationAddress,
      ports: values.migrationPorts,
      sharedFolders: values.sharedFolders ?? [],
    },
    log,
  }),
);
