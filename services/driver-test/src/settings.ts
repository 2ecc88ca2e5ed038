/** Settings of the simulated driver, beside those of every driver. */
import { driverSettings } from '@virtbus/driver-runtime';
import { setting } from '@virtbus/shared/config';
import { z } from 'zod';

export const settings = {
  ...driverSettings,
  rebootsPerSecond: setting(
    'VIRTBUS_TEST_REBOOTS_PER_SECOND',
    z.coerce.number().min(0).max(1_000).default(0),
    'how often in all a running guest reboots by itself: a load of events',
  ),
};
