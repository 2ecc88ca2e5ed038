/**
 * A small fleet for tests of the domain service: a real nats-server with our roles, real copies of the service as
 * processes, and hosts that only keep a table of domains. A simulated host journals and publishes like a real one.
 */
import { connectBus, type Bus } from '@virtbus/shared/bus';
import {
  BusUsers,
  eventually,
  patiently,
  startNatsServer,
  startService,
  temporaryFolder,
  type NatsServer,
  type TestProcess,
} from '@virtbus/testkit';
import { SimulatedHost, type HostOptions } from './domain-service-host';

const hostNames = ['h1', 'h2', 'h3'];

export class Stack implements AsyncDisposable {
  readonly copies: TestProcess[] = [];
  readonly hosts: SimulatedHost[] = [];
  /** The connection of an admin. */
  readonly bus: Bus;

  private constructor(
    readonly server: NatsServer,
    private readonly folder: { file(...parts: string[]): string; [Symbol.dispose](): void },
    readonly users: BusUsers,
    bus: Bus,
  ) {
    this.bus = bus;
  }

  static async start({ copies = 1, hosts = ['h1'] }: { copies?: number; hosts?: string[] } = {}): Promise<Stack> {
    const folder = temporaryFolder();
    const users = await BusUsers.create(folder, hostNames);
    const server = await startNatsServer({ authorization: await users.serverTrust() });
    users.write(server.url);
    const bus = await patiently(() => connectBus({ name: 'test', context: folder.file('admin.json') }));
    const stack = new Stack(server, folder, users, bus);
    try {
      for (const name of hosts) await stack.addHost(name);
      await Promise.all(Array.from({ length: copies }, () => stack.addCopy()));
      return stack;
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  context(user: string): string {
    return this.folder.file(`${user}.json`);
  }

  async addHost(name: string, options: HostOptions = {}): Promise<SimulatedHost> {
    const bus = await patiently(() => connectBus({ name, owner: name, context: this.context(`host-${name}`) }));
    const host = new SimulatedHost(bus, name, options, this.folder.file(name));
    this.hosts.push(host);
    await host.start();
    return host;
  }

  /** A copy of the service that is ready; with `wait: false` one that was only started. */
  async addCopy({ user = 'service', wait = true } = {}): Promise<TestProcess> {
    const env = { VIRTBUS_CONTEXT: this.context(user), VIRTBUS_LOG_LEVEL: 'debug' };
    const copy = await startService('domain', { env });
    this.copies.push(copy);
    if (wait) await copy.waitFor('domain service ready');
    return copy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.copies.map((copy) => copy.stop('SIGKILL')));
    await Promise.all(this.hosts.map((host) => host.stop()));
    await this.bus.close();
    await this.server[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/** Wait for something to be true of the fleet, and give it. */
export async function soon<T>(look: () => Promise<T> | T): Promise<NonNullable<Exclude<T, false>>> {
  const found = await eventually(look, (value) => Boolean(value), { timeoutMs: 20_000 });
  return found as NonNullable<Exclude<T, false>>;
}
