/** `node services/driver-test`: the simulated driver of one host. */
import { join } from 'node:path';
import { driverMain } from '@virtbus/driver-runtime';
import { TestDriver } from './driver';
import { settings } from './settings';

driverMain('driver-test', settings, join(__dirname, '..', 'package.json'), async (values, { log }) =>
  TestDriver.open({
    folder: join(values.runDir, values.host, 'test-machines'),
    rebootsPerSecond: values.rebootsPerSecond,
    log,
  }),
);
