/** Settings that every driver service has. */
import { join } from 'node:path';
import { hostSetting, pairs, serviceSettings, setting, stateDirSetting } from '@virtbus/shared/config';
import { z } from 'zod';

export const driverSettings = {
  ...serviceSettings,
  stateDir: stateDirSetting,
  runDir: setting('VIRTBUS_RUN_DIR', z.string().default(defaultRunDir), 'folder for sockets; keep it short'),
  host: hostSetting,
  labels: setting('VIRTBUS_LABELS', pairs.default({}), 'labels of this host: key=value,…'),
};

function defaultRunDir(): string {
  if (process.getuid?.() === 0) return '/run/virtbus';
  return join(process.env.XDG_RUNTIME_DIR ?? `/tmp/virtbus-${process.getuid?.()}`, 'virtbus');
}
