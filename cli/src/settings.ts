/** How this user reaches the bus: flags, environment, file, and the credentials that `npm start` has left. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { BusOptions } from '@virtbus/shared/bus';
import { config, shared } from './lazy';
import type { Globals } from './spec';

/** Best first. */
const roles = ['admin', 'operator', 'reader'] as const;

/** Throws `AUTH_FAILED` when nothing says where the bus is. */
export function connection(
  globals: Pick<Globals, 'context' | 'url'>,
  env: NodeJS.ProcessEnv = process.env,
): BusOptions {
  const { busOptions, busSettings, loadConfig, stateDirSetting } = config();
  const values = loadConfig({ ...busSettings, stateDir: stateDirSetting }, { env, argv: [] });
  const options = busOptions(values, 'virtbus-cli');
  if (globals.url) options.url = globals.url;
  if (globals.context) options.context = globals.context;
  if (options.context || options.user || options.token || options.creds) return options;
  const folder = join(values.stateDir, 'credentials');
  options.context = roles.map((role) => join(folder, `${role}.json`)).find(readable);
  if (options.context || options.url) return options;
  const { VirtError } = shared();
  throw new VirtError('AUTH_FAILED', {
    detail: `no credentials that you may read in ${folder}; run 'npm start' on this machine, or set VIRTBUS_CONTEXT or VIRTBUS_NATS_URL`,
  });
}

/** Where `virtbus auth` keeps an authority unless told otherwise: where `npm start` has made one. */
export function credentialsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { loadConfig, stateDirSetting } = config();
  return join(loadConfig({ stateDir: stateDirSetting }, { env, argv: [] }).stateDir, 'credentials');
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
