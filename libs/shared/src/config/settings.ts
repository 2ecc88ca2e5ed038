/** The settings that every service shares: how to reach the bus, how much to log. */
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { BusOptions } from '../bus/connection';
import { HostName } from '../model';
import { setting, type Values } from './load';

/** Where virtbus keeps what must outlive its processes: root's in the system's place, a user's in the user's. */
export function defaultStateDir(env: NodeJS.ProcessEnv = process.env): string {
  if (process.getuid?.() === 0) return '/var/lib/virtbus';
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'virtbus');
}

const optional = z.string().optional();

export const busSettings = {
  natsUrl: setting('VIRTBUS_NATS_URL', optional, 'server(s) of the bus, comma separated'),
  context: setting('VIRTBUS_CONTEXT', optional, 'file with credentials, as virtbus auth writes them'),
  natsUser: setting('VIRTBUS_NATS_USER', optional, 'user'),
  natsPassword: setting('VIRTBUS_NATS_PASSWORD', optional, 'password'),
  natsToken: setting('VIRTBUS_NATS_TOKEN', optional, 'token'),
  natsCreds: setting('VIRTBUS_NATS_CREDS', optional, 'NATS credentials file'),
  natsInboxPrefix: setting('VIRTBUS_NATS_INBOX_PREFIX', optional, 'prefix of the inboxes this user may use'),
  natsCa: setting('VIRTBUS_NATS_CA', optional, 'PEM file of the authority that vouches for the servers'),
  natsCert: setting('VIRTBUS_NATS_CERT', optional, 'PEM file of our certificate, for servers that ask for one'),
  natsKey: setting('VIRTBUS_NATS_KEY', optional, 'PEM file of its private key'),
  logLevel: setting(
    'VIRTBUS_LOG_LEVEL',
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    'least level that is logged',
  ),
};

/** What every service is told beside that. */
export const serviceSettings = {
  ...busSettings,
  httpListen: setting(
    'VIRTBUS_HTTP_LISTEN',
    z
      .string()
      .regex(/^(unix:\/.+|(\[[^\]]+\]|[^:/]+):\d{1,5})$/, 'must be HOST:PORT or unix:/PATH')
      .optional(),
    'where /healthz, /readyz and /metrics are answered: HOST:PORT or unix:/PATH; nowhere when left out',
  ),
  drainMs: setting(
    'VIRTBUS_DRAIN_MS',
    z.coerce.number().int().nonnegative().default(10_000),
    'how long what is running may take after a signal to end, milliseconds',
  ),
};

export const stateDirSetting = setting(
  'VIRTBUS_STATE_DIR',
  z.string().default(() => defaultStateDir()),
  'folder for what must outlive the processes',
);

const defaultHost = (): string =>
  hostname()
    .split('.')[0]!
    .replaceAll(/[^A-Za-z0-9_-]/g, '-') || 'localhost';

/** For services that serve one host. */
export const hostSetting = setting('VIRTBUS_HOST', HostName.default(defaultHost), 'name of this host on the bus');

/** The bus options that these settings mean. */
export function busOptions(values: Values<typeof busSettings>, name: string, owner?: string): BusOptions {
  return {
    name,
    owner,
    url: values.natsUrl,
    context: values.context,
    user: values.natsUser,
    password: values.natsPassword,
    token: values.natsToken,
    creds: values.natsCreds,
    inboxPrefix: values.natsInboxPrefix,
    ca: values.natsCa,
    cert: values.natsCert,
    key: values.natsKey,
  };
}
