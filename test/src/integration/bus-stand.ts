/** A real nats-server with our roles, connections of each role, and domains and events to send over them. */
import type { DomainEvent, DomainSummary } from '@virtbus/shared';
import { connectBus, ensureJetStream, newId, type Bus } from '@virtbus/shared/bus';
import {
  BusUsers,
  eventually,
  startNatsServer,
  temporaryFolder,
  type NatsServer,
  type TemporaryFolder,
} from '@virtbus/testkit';

export type Name = 'admin' | 'operator' | 'reader' | 'service' | 'host-h1' | 'host-h2';

export class BusStand implements AsyncDisposable {
  private readonly buses: Bus[] = [];

  private constructor(
    readonly server: NatsServer,
    readonly folder: TemporaryFolder,
    readonly users: BusUsers,
  ) {}

  /** @param config further lines for the server: `max_payload: 64KB` */
  static async start(config = ''): Promise<BusStand> {
    const folder = temporaryFolder();
    const users = await BusUsers.create(folder, ['h1', 'h2']);
    const server = await startNatsServer({ authorization: await users.serverTrust(), config });
    users.write(server.url);
    const stand = new BusStand(server, folder, users);
    await stand.makeStreams();
    return stand;
  }

  context(name: Name): string {
    return this.folder.file(`${name}.json`);
  }

  /**
   * A connection that ends with the stand; services and hosts own their large answers.
   * @param url another way to the server
   */
  async as(name: Name, url?: string): Promise<Bus> {
    const owner = name === 'service' ? 'service' : name.startsWith('host-') ? name.slice(5) : undefined;
    const bus = await connectBus({ name, owner, url, context: this.context(name) });
    this.buses.push(bus);
    return bus;
  }

  async makeStreams(): Promise<void> {
    const bus = await connectBus({ name: 'streams', context: this.context('service') });
    // A disk that others keep busy may outlast one question; a service would ask again, too.
    await eventually(() => ensureJetStream(bus).then(() => true), true);
    await bus.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.buses.map((bus) => bus.close()));
    await this.server[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

export const uuidOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

export function domain(more: Partial<DomainSummary> = {}): DomainSummary {
  return {
    uuid: uuidOf(1),
    name: 'web1',
    host: 'h1',
    driver: 'test',
    epoch: 1,
    revision: 1,
    id: 1,
    state: 'running',
    reason: 'booted',
    persistent: true,
    updated: false,
    autostart: false,
    managedSave: false,
    memoryKiB: 65_536,
    maxMemoryKiB: 65_536,
    vcpus: 1,
    maxVcpus: 1,
    osType: 'hvm',
    arch: 'x86_64',
    virtType: 'test',
    ...more,
  };
}

export function event(of: Partial<DomainSummary> = {}, more: Partial<DomainEvent> = {}): DomainEvent {
  const told = domain(of);
  return {
    id: newId(),
    class: 'lifecycle',
    type: 'started',
    detail: 'booted',
    time: new Date().toISOString(),
    host: told.host,
    domain: told,
    ...more,
  };
}
