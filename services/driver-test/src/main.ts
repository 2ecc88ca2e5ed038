/** `node services/driver-test`: the simulated driver of one host. */
import { join } from 'node:path';
import { runDriver } from '@virtbus/driver-runtime';
import { runService } from '@virtbus/shared/service';
import { TestDriver } from './driver';
import { settings } from './settings';

runService({
  name: 'driver-test',
  settings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: (service) => {
    const { values, log } = service;
    return runDriver(service, async () =>
      TestDriver.open({
        folder: join(values.runDir, values.host, 'test-machines'),
        rebootsPerSecond: values.rebootsPerSecond,
        log,
      }),
    );
  },
});
