/**
 * A whole virtbus of one's own: nats-server with roles, any number of domain and migration services, hosts with a storage
 * service and a QEMU driver, LXC hosts; each a real process with its state in a temporary folder. Guests and containers that are left when
 * the test ends are ended with it, by pid.
 */
import { readdirSync } from 'node:fs';
import {
  defineDomain,
  driverInventory,
  eventFilter,
  getDomain,
  listHosts,
  openConsole,
  startDomain,
  type DomainEvent,
  type DomainSummary,
  type Inventory,
} from '@virtbus/shared';
import { call, callDriver, clientStream, connectBus, lastSequence, newId, tail, type Bus } from '@virtbus/shared/bus';
import { endContainers, initOf, supervisorsBelow } from './containers';
import { eventually } from './eventually';
import { GuestDocuments, type ContainerSpec, type GuestSpec } from './guest-documents';
import type { NatsServer } from './nats-server';
import { commandLine, cpuTicks, end, environment } from './process-table';
import { patiently } from './patiently';
import { startService, type ServiceOptions, type TestProcess } from './start-process';
import { startBus, type BusOptions } from './stack-bus';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder';

export interface StackOptions extends BusOptions {
  /** Names of the QEMU hosts; default: one, `h1`. */
  hosts?: readonly string[];
  /** Names of the LXC hosts, other ones than those; default: none. */
  lxcHosts?: readonly string[];
  /** Names of hosts whose guests are simulated, other ones than those; default: none. */
  testHosts?: readonly string[];
  /** Copies of the domain service; default 1. */
  domainServices?: number;
  /** Copies of the migration service; default none. */
  migrationServices?: number;
  /** Added to the environment of every service. */
  env?: Record<string, string>;
}

type DriverKind = 'qemu' | 'lxc' | 'test';

const startMs = 60_000;

export class Stack implements AsyncDisposable {
  readonly domainServices: TestProcess[] = [];
  readonly migrationServices: TestProcess[] = [];
  readonly drivers = new Map<string, TestProcess>();
  readonly storages = new Map<string, TestProcess>();
  /** What the services of a host are run within, from their next start on. */
  readonly within = new Map<string, readonly string[]>();
  private readonly buses: Bus[] = [];
  private service: Bus | undefined;
  private readonly documents: GuestDocuments;

  private constructor(
    readonly folder: TemporaryFolder,
    /** The servers of the bus. */
    readonly servers: readonly NatsServer[],
    private readonly options: StackOptions,
  ) {
    this.documents = new GuestDocuments(folder);
  }

  static async start(options: StackOptions = {}): Promise<Stack> {
    const folder = temporaryFolder();
    const hosts = options.hosts ?? ['h1'];
    const lxcHosts = options.lxcHosts ?? [];
    const all = [...hosts, ...lxcHosts, ...(options.testHosts ?? [])];
    const stack = new Stack(folder, await startBus(folder, all, options), options);
    try {
      for (let n = 0; n < (options.domainServices ?? 1); n++) await stack.startDomainService();
      await Promise.all([
        ...all.map(async (host) => {
          await stack.startDriver(host);
          // One that does not come up says why.
          await stack.driverReady(host);
        }),
        ...hosts.map((host) => stack.startStorage(host)),
        ...Array.from({ length: options.migrationServices ?? 0 }, () => stack.startMigrationService()),
      ]);
      await stack.hostsOnline(all.length);
      return stack;
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The server of the bus, or the first of several. */
  get nats(): NatsServer {
    return this.servers[0]!;
  }

  /** The credentials of a user: `admin`, `reader`, `host-h1`, … */
  context(name: string): string {
    return this.folder.file(`${name}.json`);
  }

  /** A connection that is closed with the stack. */
  async connect(user = 'admin'): Promise<Bus> {
    const options = { name: `test ${user}`, context: this.context(user) };
    const bus = await patiently(() => connectBus(options));
    this.buses.push(bus);
    return bus;
  }

  startDomainService(): Promise<TestProcess> {
    return this.startCopy('domain', this.domainServices);
  }

  startMigrationService(): Promise<TestProcess> {
    return this.startCopy('migration', this.migrationServices);
  }

  /** Kill a copy as a crash would, and start another in its place. */
  restartDomainService(copy: number, meanwhile?: () => Promise<void>): Promise<void> {
    return this.restartCopy('domain', this.domainServices, copy, meanwhile);
  }

  restartMigrationService(copy: number, meanwhile?: () => Promise<void>): Promise<void> {
    return this.restartCopy('migration', this.migrationServices, copy, meanwhile);
  }

  private async restartCopy(
    program: 'domain' | 'migration',
    copies: TestProcess[],
    copy: number,
    meanwhile: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    await copies[copy]!.stop('SIGKILL');
    await meanwhile();
    copies[copy] = await this.startOne(program);
  }

  private async startCopy(program: 'domain' | 'migration', copies: TestProcess[]): Promise<TestProcess> {
    const service = await this.startOne(program);
    copies.push(service);
    return service;
  }

  private async startOne(program: 'domain' | 'migration'): Promise<TestProcess> {
    const env = this.environment({ VIRTBUS_CONTEXT: this.context('service') });
    const service = await startService(program, { env });
    await service.waitFor(`${program} service ready`, { timeoutMs: startMs });
    return service;
  }

  async startDriver(host: string): Promise<TestProcess> {
    const program = `driver-${this.kindOf(host)}`;
    const driver = await startService(program, {
      ...this.onHost(host),
      name: `${program} ${host}`,
      leavesChildren: true,
    });
    this.drivers.set(host, driver);
    return driver;
  }

  /** Start the storage service of a host and wait until it answers. */
  async startStorage(host: string): Promise<TestProcess> {
    const storage = await startService('storage', { ...this.onHost(host), name: `storage ${host}` });
    this.storages.set(host, storage);
    await storage.waitFor('storage service ready', { timeoutMs: startMs });
    return storage;
  }

  /** Kill the storage service as a crash would, and start it again. */
  async restartStorage(host: string, meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    await this.storages.get(host)!.stop('SIGKILL');
    await meanwhile();
    await this.startStorage(host);
  }

  async driverReady(host: string): Promise<void> {
    await this.drivers.get(host)!.waitFor('driver ready', { timeoutMs: startMs });
  }

  /** Kill the driver as a crash would, and start it again. */
  async restartDriver(host: string, meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    await this.drivers.get(host)!.stop('SIGKILL');
    await meanwhile();
    await this.startDriver(host);
    await this.driverReady(host);
  }

  async hostsOnline(count: number): Promise<void> {
    const bus = await this.connect();
    const online = async (): Promise<number> =>
      (await call(bus, listHosts, {}, { timeoutMs: 2_000 })).hosts.filter((host) => host.online).length;
    await eventually(online, count, { timeoutMs: startMs });
  }

  domainXml(spec: GuestSpec): Promise<string> {
    return this.documents.domain(spec);
  }

  containerXml(spec: ContainerSpec): Promise<string> {
    return this.documents.container(spec);
  }

  async runContainer(bus: Bus, spec: ContainerSpec): Promise<DomainSummary> {
    const { domain } = await call(bus, defineDomain, { xml: await this.containerXml(spec) });
    return (await call(bus, startDomain, {}, { target: domain.uuid })).domain;
  }

  /** Pids of the supervisors of this stack's containers. */
  containerPids(): number[] {
    return supervisorsBelow(this.folder.path);
  }

  /** Pid of the supervisor of a domain's container. */
  supervisorOf(uuid: string): number {
    const name = `${uuid.slice(0, 8)}${uuid.slice(-12)}`;
    const found = this.containerPids().find((pid) => commandLine(pid).includes(name));
    if (found === undefined) throw new Error(`no container runs domain ${uuid}`);
    return found;
  }

  /** Pid, on this host, of process 1 of a domain's container. */
  containerInit(uuid: string): number {
    const init = initOf(this.supervisorOf(uuid));
    if (init === undefined) throw new Error(`the container of domain ${uuid} has no process`);
    return init;
  }

  /** The file that is the simulated machine of a domain: without it, the guest has ended. */
  machineOf(host: string, uuid: string): string {
    return this.folder.file('r', host, 'test-machines', uuid);
  }

  async define(bus: Bus, spec: GuestSpec): Promise<DomainSummary> {
    const { host } = spec;
    return (await call(bus, defineDomain, { xml: await this.domainXml(spec), host })).domain;
  }

  async run(bus: Bus, spec: GuestSpec): Promise<DomainSummary> {
    const { uuid } = await this.define(bus, spec);
    return (await call(bus, startDomain, {}, { target: uuid })).domain;
  }

  async state(bus: Bus, domain: string): Promise<string> {
    const { domain: now } = await call(bus, getDomain, {}, { target: domain });
    return `${now.state}(${now.reason})`;
  }

  /** The stored events of a domain, oldest first; what running drivers have in their journals has arrived by then. */
  async events(bus: Bus, uuid?: string): Promise<DomainEvent[]> {
    for (const [host, driver] of this.drivers) {
      const waiting = async (): Promise<number> => (await this.inventoryOf(host)).status.journal;
      if (driver.running) await eventually(waiting, 0, { timeoutMs: 20_000 });
    }
    const filter = eventFilter(uuid ? { uuid } : {});
    return patiently(async () => {
      const found: DomainEvent[] = [];
      for await (const { event } of tail(bus, { filter, since: 'all', once: true })) found.push(event);
      return found;
    });
  }

  lastSequence(bus: Bus): Promise<number> {
    return lastSequence(bus);
  }

  /** What the host itself says of its domains. */
  async inventory(host: string): Promise<DomainSummary[]> {
    return (await this.inventoryOf(host)).domains;
  }

  /** What our own services may ask, on one connection. */
  async serviceBus(): Promise<Bus> {
    return (this.service ??= await this.connect('service'));
  }

  private async inventoryOf(host: string): Promise<Inventory> {
    return callDriver(await this.serviceBus(), { host, driver: this.kindOf(host) }, driverInventory, {});
  }

  /** Pids of the QEMU processes of a domain on one host. */
  pidsOn(host: string, uuid: string): number[] {
    const here = `${this.folder.file('r')}/${host}/`;
    return this.guestPids().filter((pid) => commandLine(pid).includes(uuid) && environment(pid).includes(here));
  }

  /** Pids of the QEMU processes that belong to this stack. */
  guestPids(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => this.isGuest(pid));
  }

  /** The pid of the QEMU of one domain. */
  pidOf(uuid: string): number {
    const pid = this.guestPids().find((one) => commandLine(one).includes(uuid));
    if (pid === undefined) throw new Error(`no QEMU runs domain ${uuid}`);
    return pid;
  }

  /** Wait until the console of a guest, its backlog included, shows these words. */
  async consoleShows(bus: Bus, domain: string, words: string, timeoutMs = 90_000): Promise<void> {
    let text = '';
    const session = newId();
    const decoder = new TextDecoder();
    const stream = clientStream(bus, session, (bytes) => void (text += decoder.decode(bytes, { stream: true })));
    const { input } = await call(bus, openConsole, { session, force: true }, { target: domain });
    stream.connect(input);
    await eventually(() => text.includes(words), true, { timeoutMs });
    stream.end();
  }

  /** Wait until a guest has powered off: its QEMU stays, without its machine running. */
  async guestHalts(uuid: string): Promise<void> {
    const pid = this.pidOf(uuid);
    let before = -1;
    const still = (): boolean => {
      const ticks = cpuTicks(pid);
      const same = ticks === before;
      before = ticks;
      return same;
    };
    await eventually(still, true, { timeoutMs: 60_000, intervalMs: 1_500 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await inTurn([
      ...this.buses.map((bus) => () => bus.close().catch(() => undefined)),
      ...[...this.drivers.values(), ...this.storages.values()].map((service) => () => service.stop('SIGTERM')),
      ...[...this.migrationServices, ...this.domainServices].map((service) => () => service.stop('SIGTERM')),
      () => endContainers(this.folder.path),
      async () => {
        for (const pid of this.guestPids()) end(pid);
        await eventually(() => this.guestPids().length, 0);
      },
      ...this.servers.map((server) => () => server[Symbol.asyncDispose]()),
      () => this.folder[Symbol.dispose](),
    ]);
  }

  private kindOf(host: string): DriverKind {
    if (this.options.testHosts?.includes(host)) return 'test';
    return this.options.lxcHosts?.includes(host) ? 'lxc' : 'qemu';
  }

  private onHost(host: string): Pick<ServiceOptions, 'env' | 'within'> {
    const { namespaces } = this.options;
    const env = { VIRTBUS_CONTEXT: this.context(`host-${host}`), VIRTBUS_HOST: host };
    if (!namespaces) return { env: this.environment(env), within: this.within.get(host) ?? [] };
    const address = { VIRTBUS_MIGRATION_ADDRESS: namespaces.address(host) };
    return { env: this.environment({ ...env, ...address }), within: namespaces.within(host) };
  }

  private environment(own: Record<string, string>): Record<string, string | undefined> {
    return {
      VIRTBUS_STATE_DIR: this.folder.file('state'),
      VIRTBUS_RUN_DIR: this.folder.file('r'),
      VIRTBUS_CONFIG: undefined,
      VIRTBUS_NATS_URL: undefined,
      VIRTBUS_JETSTREAM_REPLICAS: String(this.servers.length),
      ...this.options.env,
      ...own,
    };
  }

  private isGuest(pid: number): boolean {
    if (!commandLine(pid).includes('qemu-system')) return false;
    // Its home is in the run folder; the command line of a guest without disks and sockets names no path.
    return environment(pid).includes(this.folder.path);
  }
}

/** Every step is done, also after one that failed. Throws what the first of these threw. */
async function inTurn(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
