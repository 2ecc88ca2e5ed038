/**
 * The platform on one machine, as processes: what `npm start` and `npm run demo` bring up.
 *
 * State lies below the state folder: `nats/` (JetStream), `credentials/` (the authority of this bus, the server's
 * configuration and one context file a user, as `virtbus auth` makes them), `hosts/` (the drivers').
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { AuthorityFolder, type NewUser } from '@virtbus/shared/auth';
import { connectBus } from '@virtbus/shared/bus';
import { busOptions, busSettings, hostSetting, loadConfig, setting, stateDirSetting } from '@virtbus/shared/config';
import { z } from 'zod';
import { Child } from './child';

const root = resolve(__dirname, '../..');

const settings = {
  ...busSettings,
  stateDir: stateDirSetting,
  host: hostSetting,
  natsPort: setting(
    'VIRTBUS_NATS_PORT',
    z.coerce.number().int().min(1).max(65535).default(4222),
    'port of the embedded nats-server',
  ),
};

export interface PlatformOptions {
  env: NodeJS.ProcessEnv;
  /** A line about each thing that comes up. */
  report: (line: string) => void;
}

export interface Platform {
  stateDir: string;
  /** Environment for the CLI and for clients of this platform. */
  env: Record<string, string>;
  welcome(): string;
  /** Resolves with a reason when one of the processes has ended by itself. */
  failed: Promise<string>;
  /** Why this machine runs no containers; undefined when it does. */
  withoutContainers: string | undefined;
  stop(): Promise<void>;
}

export async function startPlatform({ env, report }: PlatformOptions): Promise<Platform> {
  const values = loadConfig(settings, { env, argv: [] });
  const { stateDir, host } = values;
  makeFolder(stateDir, 0o711);
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const child of [...children].reverse()) await child.stop();
  };
  try {
    const own = values.natsUrl === undefined;
    const url = own ? `nats://127.0.0.1:${values.natsPort}` : values.natsUrl!;
    const credentials = own ? await prepareCredentials(stateDir, host, values.natsPort) : undefined;
    if (credentials) {
      await portMustBeFree(values.natsPort);
      const server = Child.start('nats-server', ['-c', credentials.serverConfig], env, stateDir, 'nats-server');
      children.push(server);
      await server.ready('Server is ready');
    }
    const as = (role: string): Record<string, string> =>
      credentials ? { VIRTBUS_CONTEXT: credentials.file(role) } : {};
    await answers(async () => {
      const options = {
        ...busOptions(values, 'npm start'),
        ...(credentials ? { context: credentials.file('service') } : {}),
      };
      await (await connectBus(options)).close();
    });
    report(own ? `nats-server   ${url} (JetStream, loopback only)` : `NATS          ${url}`);
    const common = { ...env, VIRTBUS_STATE_DIR: stateDir };
    const listen = (n: number): Record<string, string> => listening(env.VIRTBUS_HTTP_LISTEN, n);
    const domain = Child.start(
      'domain',
      [join(root, 'services/domain')],
      { ...common, ...listen(0), ...as('service') },
      stateDir,
    );
    children.push(domain);
    const migration = Child.start(
      'migration',
      [join(root, 'services/migration')],
      { ...common, ...listen(1), ...as('service') },
      stateDir,
    );
    children.push(migration);
    const driver = Child.start(
      'driver-qemu',
      [join(root, 'services/driver-qemu')],
      { ...common, ...listen(2), VIRTBUS_HOST: host, ...as(`host-${host}`) },
      stateDir,
    );
    children.push(driver);
    const storage = Child.start(
      'storage',
      [join(root, 'services/storage')],
      { ...common, ...listen(3), VIRTBUS_HOST: host, ...as(`host-${host}`) },
      stateDir,
    );
    children.push(storage);
    const asHost = { ...common, ...listen(4), VIRTBUS_HOST: host, ...as(`host-${host}`) };
    const containers = Child.start('driver-lxc', [join(root, 'services/driver-lxc')], asHost, stateDir);
    const [withoutContainers] = await Promise.all([
      whyNotReady(containers),
      domain.ready('domain service ready'),
      migration.ready('migration service ready'),
      driver.ready('driver ready'),
      storage.ready('storage service ready'),
    ]);
    report('domain        commands, queries, the registry of the fleet');
    report('migration     domains that move between hosts');
    report(`storage       pools, volumes and backing chains of host '${host}'`);
    report(`driver-qemu   host '${host}'`);
    if (withoutContainers === undefined) children.push(containers);
    report(`driver-lxc    ${withoutContainers === undefined ? `host '${host}'` : `not here: ${withoutContainers}`}`);
    return {
      stateDir,
      env: { VIRTBUS_STATE_DIR: stateDir, ...as('admin') },
      withoutContainers,
      welcome: () => welcome(stateDir, env.VIRTBUS_HTTP_LISTEN),
      failed: Promise.race(children.map((child) => child.ended)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Services on one machine have a port each, from the one that was named upward; sockets bear their names. */
function listening(first: string | undefined, n: number): Record<string, string> {
  const [, host = '', port = '0'] = /^([^/]+):(\d+)$/.exec(first ?? '') ?? [];
  return Number(port) > 0 ? { VIRTBUS_HTTP_LISTEN: `${host}:${Number(port) + n}` } : {};
}

/** A machine that cannot run containers says so in the last line of the driver's log, and does without. */
async function whyNotReady(driver: Child): Promise<string | undefined> {
  try {
    await driver.ready('driver ready');
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    const why = /this machine cannot run containers: (.*) \(log: /.exec(message)?.[1];
    await driver.stop();
    if (why === undefined) throw error;
    return why;
  }
}

function welcome(stateDir: string, httpListen: string | undefined): string {
  return [
    '',
    'virtbus is up. In another shell:',
    '',
    '  npx virtbus hosts            the hosts of the fleet',
    '  npx virtbus list --all       their domains',
    '  npx virtbus events --follow  what happens',
    '',
    httpListen
      ? `Health, readiness and metrics: ${httpListen} and the four ports after it (docs/how-to/observe.md).`
      : 'VIRTBUS_HTTP_LISTEN=127.0.0.1:9464 gives each service /healthz, /readyz and /metrics (docs/how-to/observe.md).',
    `Logs and state: ${stateDir}. Ctrl-C stops our processes and leaves the guests running.`,
  ].join('\n');
}

interface Credentials {
  serverConfig: string;
  file(name: string): string;
}

/** The authority of this machine's bus, made at the first start; credentials that were handed out stay good. */
async function prepareCredentials(stateDir: string, host: string, port: number): Promise<Credentials> {
  const path = join(stateDir, 'credentials');
  const storeDir = join(stateDir, 'nats');
  makeFolder(storeDir, 0o700);
  const servers = [{ name: 'virtbus', host: '127.0.0.1', port, clusterPort: port }];
  if (!AuthorityFolder.isIn(path)) await AuthorityFolder.create(path, { servers, tls: 'none', storeDir });
  const users: NewUser[] = [
    ...(['admin', 'operator', 'reader', 'service'] as const).map((role) => ({ name: role, role })),
    { name: `host-${host}`, role: 'host', host },
  ];
  return AuthorityFolder.change(path, async (folder) => {
    folder.deployment.servers = servers;
    for (const user of users) await folder.ensure(user);
    folder.moveContexts();
    return { serverConfig: folder.serverConfig('virtbus'), file: (name) => folder.contextFile(name) };
  });
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
    chmodSync(path, mode);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new VirtError('SYSTEM_ERROR', {
      detail: `cannot use the folder ${path}: ${why}; set VIRTBUS_STATE_DIR to another`,
    });
  }
}

async function portMustBeFree(port: number): Promise<void> {
  await new Promise<void>((resolvePort, reject) => {
    const probe = createServer();
    probe.once('error', () =>
      reject(
        new VirtError('RESOURCE_BUSY', {
          detail: `port ${port} is taken; is virtbus running already? Set VIRTBUS_NATS_PORT to another, or VIRTBUS_NATS_URL to use the NATS that is there`,
        }),
      ),
    );
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolvePort()));
  });
}

/** Try until it works, or for ten seconds. */
async function answers(attempt: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((again) => setTimeout(again, 100));
    }
  }
}
