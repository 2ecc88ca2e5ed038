/**
 * The platform of docker-compose.yml in containers of an engine, on free ports and in folders of its own, with the images of
 * this checkout. Guests outlive containers by design: they are ended here by their cgroups.
 */
import dns from 'node:dns';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import {
  cgroupMounts,
  checkout,
  endContainers,
  eventually,
  freePort,
  ProcessLog,
  removeCgroups,
} from '@virtbus/testkit';
import { BreakableLink } from '../integration/breakable-link';
import { composeProgram, type Engine } from './engine';

export const servers = ['nats-1', 'nats-2', 'nats-3'] as const;
export const copies = ['domain-1', 'domain-2', 'migration-1', 'migration-2'] as const;
/** Where the servers are published; what hosts take for them, on 127.0.0.1, are links that can be parted. */
const published = '127.0.0.2';

export class Platform implements AsyncDisposable {
  private readonly buses: Bus[] = [];
  private readonly lookup = dns.lookup;

  private constructor(
    private readonly engine: Engine,
    private readonly folder: string,
    readonly project: string,
    private readonly settings: Record<string, string>,
    private readonly links: readonly BreakableLink[],
  ) {}

  /** @param folder private */
  static async start(engine: Engine, folder: string, tag: string): Promise<Platform> {
    // What testcontainers would pull to clean up behind us is not to be had everywhere; we clean up ourselves.
    process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
    // It looks for the engine's bridge where it takes this machine for a container.
    process.env['TESTCONTAINERS_HOST_OVERRIDE'] ??= '127.0.0.1';
    Object.assign(process.env, engine.env);
    const { DockerComposeEnvironment, PullPolicy, Wait } = await import('testcontainers');
    const project = `vb${process.pid}`;
    const settings: Record<string, string> = {
      VIRTBUS_TAG: tag,
      VIRTBUS_NATS_IMAGE: `virtbus-nats:${tag}`,
      VIRTBUS_NATS_LISTEN: published,
      // The host's name tells its guests from those of other hosts of this machine.
      VIRTBUS_HOST: project,
      VIRTBUS_QEMU_CGROUP: `virtbus-guests-${project}`,
      VIRTBUS_STATE: join(folder, 'state'),
      VIRTBUS_RUN: join(folder, 'run'),
      VIRTBUS_IMAGES: join(folder, 'images'),
    };
    const links: BreakableLink[] = [];
    for (const server of servers) {
      const port = await freePort();
      settings[portSetting(server)] = String(port);
      links.push(await BreakableLink.to(`tcp:${published}:${port}`, port));
    }
    for (const name of ['storage', 'driver-qemu', 'driver-lxc'])
      settings[`VIRTBUS_${name.toUpperCase().replace('-', '_')}_HTTP`] = `unix:/run/virtbus/${name}-http.sock`;
    for (const name of ['state', 'run', 'images']) mkdirSync(join(folder, name), { mode: 0o711 });
    const compose = new DockerComposeEnvironment(folder, composeFile(folder))
      .withProjectName(project)
      .withEnvironment(settings)
      .withPullPolicy(PullPolicy.defaultPolicy())
      .withStartupTimeout(180_000)
      .withDefaultWaitStrategy(Wait.forHealthCheck())
      .withWaitStrategy(containerName('init'), Wait.forOneShotStartup());
    if (composeProgram() === 'standalone') compose.withClientOptions({ executable: { standalone: true } });
    const platform = new Platform(engine, folder, project, settings, links);
    try {
      await compose.up();
    } catch (error) {
      const said = await platform.dockerCompose('logs', '--no-color', '--tail', '20').catch(String);
      await platform[Symbol.asyncDispose]();
      throw new Error(`the platform does not come up: ${said}`, { cause: error });
    }
    return platform;
  }

  get host(): string {
    return this.project;
  }

  /** The folder that hosts and the CLI see as /srv/virtbus. */
  get images(): string {
    return this.settings['VIRTBUS_IMAGES']!;
  }

  /** The CLI in its container; standard output. Rejects with what it said when it fails. */
  virtbus(...args: string[]): Promise<string> {
    return this.dockerCompose('run', '--rm', '-T', 'cli', ...args);
  }

  dockerCompose(...args: string[]): Promise<string> {
    return this.engine.compose(composeFile(this.folder), this.project, this.settings, ...args);
  }

  docker(...args: string[]): Promise<string> {
    return this.engine.docker(...args);
  }

  container(service: string): string {
    const separator = composeProgram() === 'plugin' ? '-' : '_';
    return [this.project, service, '1'].join(separator);
  }

  /** Take services off networks of the file. */
  async cut(services: readonly string[], networks: readonly string[]): Promise<void> {
    for (const service of services) for (const network of networks) await this.wire('disconnect', network, service);
  }

  /** Put them on these networks again. */
  async join(services: readonly string[], networks: readonly string[]): Promise<void> {
    for (const service of services) {
      for (const network of networks) {
        const names = network === 'bus' ? [service, address(service)] : [service];
        await this.wire('connect', network, service, ...names.flatMap((name) => ['--alias', name]));
      }
    }
  }

  private async wire(verb: string, network: string, service: string, ...options: string[]): Promise<void> {
    await this.docker('network', verb, ...options, `${this.project}_${network}`, this.container(service));
  }

  /** Nothing gets from the services of the host to the bus or back, and nobody is told. */
  partHost(): void {
    for (const link of this.links) link.part();
  }

  healHost(): void {
    for (const link of this.links) link.heal();
  }

  /** Replace it as an upgrade does: stopped with SIGTERM, made anew, waited for until it says that it can work. */
  async replace(service: string): Promise<void> {
    await this.dockerCompose('up', '--detach', '--no-deps', '--force-recreate', service);
    await this.healthy(service);
  }

  /** Asks what the engine asks for its health, without waiting for the engine's next turn. */
  async healthy(service: string): Promise<void> {
    const container = this.container(service);
    const check = await this.docker('inspect', '--format', '{{json .Config.Healthcheck.Test}}', container);
    const [, ...command] = JSON.parse(check) as string[];
    const asked = (): Promise<string> => this.docker('exec', container, ...command);
    await eventually(asked, () => true, { timeoutMs: 120_000, intervalMs: 500 });
  }

  /** A connection as admin, through the published ports. */
  async connect(): Promise<Bus> {
    // The servers' certificates name them as containers know them.
    dns.lookup = toPublished(this.lookup);
    const volume = `${this.project}_admin-credentials`;
    const file = join(await this.docker('volume', 'inspect', '--format', '{{.Mountpoint}}', volume), 'admin.json');
    const own = join(this.folder, 'admin.json');
    writeFileSync(own, readFileSync(file), { mode: 0o600 });
    const bus = await connectBus({ name: 'test of containers', context: own });
    this.buses.push(bus);
    return bus;
  }

  /** Processes in the guests' cgroup: one a QEMU. */
  guests(): number[] {
    return processesIn(this.settings['VIRTBUS_QEMU_CGROUP']!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const bus of this.buses) await bus.close().catch(() => undefined);
    dns.lookup = this.lookup;
    this.healHost();
    const paused = await this.docker('ps', '--quiet', '--filter', 'status=paused', '--filter', `name=${this.project}`);
    if (paused) await this.docker('unpause', ...paused.split('\n'));
    const said = await this.dockerCompose('logs', '--no-color', '--timestamps').catch(String);
    new ProcessLog('containers').append(said);
    await this.dockerCompose('down', '--volumes', '--timeout', '20', '--remove-orphans');
    for (const link of this.links) await link[Symbol.asyncDispose]();
    await endContainers(`/run/virtbus/${this.host}`);
    for (const pid of this.guests()) process.kill(pid, 'SIGKILL');
    await eventually(() => this.guests().length, 0, { timeoutMs: 30_000 });
    for (const mount of cgroupMounts()) removeCgroups(join(mount, this.settings['VIRTBUS_QEMU_CGROUP']!));
  }
}

/** Container names as testcontainers has them: without the project where compose joins them with a dash. */
function containerName(service: string): string {
  return composeProgram() === 'plugin' ? `${service}-1` : `vb${process.pid}_${service}_1`;
}

/** A server's name for its clients and for the other servers, on the network `bus`. */
const address = (server: string): string => `${server}.virtbus`;

const portSetting = (server: string): string => `VIRTBUS_NATS_PORT_${server.slice(-1)}`;

/** docker-compose 1.29 knows no `cgroup`; engines of its time give every container the host's where it matters. */
function composeFile(folder: string): string {
  const own = join(folder, 'docker-compose.yml');
  if (!existsSync(own)) {
    const text = readFileSync(join(checkout, 'docker-compose.yml'), 'utf8');
    writeFileSync(own, composeProgram() === 'plugin' ? text : text.replaceAll(/^ +cgroup: host\n/gm, ''));
  }
  return own;
}

function processesIn(cgroup: string): number[] {
  const pids = cgroupMounts().flatMap((mount) => {
    const file = join(mount, cgroup, 'cgroup.procs');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : [];
  });
  return [...new Set(pids)];
}

function toPublished(real: typeof dns.lookup): typeof dns.lookup {
  const lookup = (name: string, ...rest: unknown[]): void => {
    const known = servers.some((server) => address(server) === name) ? published : name;
    (real as (...args: unknown[]) => void)(known, ...rest);
  };
  return Object.assign(lookup, { __promisify__: real.__promisify__ });
}
