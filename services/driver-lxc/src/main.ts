/** `node services/driver-lxc`: the LXC driver of one host. */
import { join } from 'node:path';
import { runDriver } from '@virtbus/driver-runtime';
import { runService } from '@virtbus/shared/service';
import { LxcDriver } from './driver';
import { settings } from './settings';

runService({
  name: 'driver-lxc',
  settings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: (service) => {
    const { subIds, pidsMax } = service.values;
    return runDriver(service, (state) =>
      LxcDriver.open({ folder: join(state, 'lxc', 'driver'), subIds, pidsMax, log: service.log }),
    );
  },
});
