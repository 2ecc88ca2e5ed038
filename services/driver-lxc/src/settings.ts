/** Settings of the LXC driver, beside those of every driver. */
import { driverSettings } from '@virtbus/driver-runtime';
import { setting } from '@virtbus/shared/config';
import { z } from 'zod';

const range = /^(\d+):(\d+)$/;

export const settings = {
  ...driverSettings,
  subIds: setting(
    'VIRTBUS_LXC_SUBIDS',
    z
      .string()
      .refine((text) => text === 'none' || range.test(text), 'none, or START:COUNT')
      .optional(),
    "user and group ids that containers without <idmap> are mapped to, START:COUNT, or 'none'; those of root in /etc/subuid when left out",
  ),
  pidsMax: setting(
    'VIRTBUS_LXC_PIDS_MAX',
    z.coerce.number().int().positive().default(16_384),
    'processes and threads that a container may have at a time, so that none takes those of its host',
  ),
};
