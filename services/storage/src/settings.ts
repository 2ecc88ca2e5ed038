/** Settings of the storage service. */
import { hostSetting, serviceSettings, setting, stateDirSetting } from '@virtbus/shared/config';
import { z } from 'zod';

export const storageSettings = {
  ...serviceSettings,
  stateDir: stateDirSetting,
  host: hostSetting,
  imagePolicy: setting(
    'VIRTBUS_IMAGE_POLICY',
    z.enum(['strict', 'compatible']).default('strict'),
    'what a backing image without a recorded format means: refused, or probed if it names no other file',
  ),
};
