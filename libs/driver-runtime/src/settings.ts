/** Settings that every driver service has. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { HostName } from '@virtbus/shared';
import { busSettings, pairs, setting, stateDirSetting } from '@virtbus/shared/config';
import { z } from 'zod';

const defaultHost = (): string =>
  hostname()
    .split('.')[0]!
    .replaceAll(/[^A-Za-z0-9_-]/g, '-') || 'localhost';

export const driverSettings = {
  ...busSettings,
  stateDir: stateDirSetting,
  runDir: setting('VIRTBUS_RUN_DIR', z.string().default(defaultRunDir), 'folder for sockets; keep it short'),
  host: setting('VIRTBUS_HOST', HostName.default(defaultHost), 'name of this host on the bus'),
  labels: setting('VIRTBUS_LABELS', pairs.default({}), 'labels of this host: key=value,…'),
};

function defaultRunDir(): string {
  if (process.getuid?.() === 0) return '/run/virtbus';
  return join(process.env.XDG_RUNTIME_DIR ?? `/tmp/virtbus-${process.getuid?.()}`, 'virtbus');
}
