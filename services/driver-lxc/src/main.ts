/** `node services/driver-lxc`: the LXC driver of one host. */
import { join } from 'node:path';
import { driverMain } from '@virtbus/driver-runtime';
import { LxcDriver } from './driver';
import { settings } from './settings';

driverMain('driver-lxc', settings, join(__dirname, '..', 'package.json'), (values, { state, log }) =>
  LxcDriver.open({ folder: join(state, 'lxc', 'driver'), subIds: values.subIds, log }),
);
