/**
 * A fleet on a cluster of three servers: two copies of each service that can have copies, hosts of simulated guests that
 * are given work, one of them behind links that can be parted, and hosts whose real guests must come to no harm.
 */
import { defineDomain, listDomains, startDomain, type DomainSummary } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { needsContainers, needsProgram, Stack } from '@virtbus/testkit';
import { BreakableLink } from '../../integration/breakable-link';

/** Of simulated guests; the last one is behind the links. */
export const loadedHosts = ['t1', 't2', 't3'];
const partedHost = loadedHosts.at(-1)!;
const domainsAHost = 24;
const realGuests = 2;

/** A guest that runs outside of us, and the process that keeps it. */
interface RealGuest {
  uuid: string;
  pid: () => number;
  before: number;
}

export class ClusterStand implements AsyncDisposable {
  private readonly real: RealGuest[] = [];
  /** The simulated guests, all running. */
  readonly domains: DomainSummary[] = [];

  private constructor(
    readonly stack: Stack,
    private readonly links: readonly BreakableLink[],
    /** A client's connection. */
    readonly bus: Bus,
  ) {}

  /** @param eventsPerSecond what all the simulated guests tell of themselves */
  static async start(eventsPerSecond: number): Promise<ClusterStand> {
    const links: BreakableLink[] = [];
    const hosts = needsProgram('qemu-system-x86_64').met ? ['q1'] : [];
    const lxcHosts = needsContainers().met ? ['c1'] : [];
    const stack = await Stack.start({
      natsServers: 3,
      domainServices: 2,
      migrationServices: 2,
      hosts,
      lxcHosts,
      testHosts: loadedHosts,
      env: { VIRTBUS_TEST_REBOOTS_PER_SECOND: String(eventsPerSecond / loadedHosts.length) },
      reach: async (host, server) => {
        if (host !== partedHost) return server.url;
        const link = await BreakableLink.to(`tcp:127.0.0.1:${server.port}`);
        links.push(link);
        return link.uri.replace('tcp:', 'nats://');
      },
    });
    const stand = new ClusterStand(stack, links, await stack.connect('admin'));
    try {
      await stand.populate(hosts, lxcHosts);
      return stand;
    } catch (error) {
      await stand[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Nothing gets to or from one host for so long. */
  async part(ms: number): Promise<void> {
    for (const link of this.links) link.part();
    await new Promise((resolve) => setTimeout(resolve, ms));
    for (const link of this.links) link.heal();
  }

  /** What has happened to guests that nobody gave a command. */
  async harm(): Promise<string[]> {
    const { domains } = await call(this.bus, listDomains, { limit: 10_000 });
    return this.real.flatMap(({ uuid, pid, before }) => {
      const now = domains.find((domain) => domain.uuid === uuid);
      if (now?.state !== 'running') return [`guest ${uuid} is told to be ${now?.state ?? 'unknown'}`];
      return pid() === before ? [] : [`guest ${uuid} runs in another process than before`];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.links) link.heal();
    await this.stack[Symbol.asyncDispose]();
    for (const link of this.links) await link[Symbol.asyncDispose]();
  }

  private async populate(hosts: readonly string[], lxcHosts: readonly string[]): Promise<void> {
    const { stack, bus } = this;
    for (const host of loadedHosts) {
      for (let n = 0; n < domainsAHost; n++) {
        const xml = `<domain type='test'><name>${host}-${n}</name><memory>65536</memory><os><type>hvm</type></os></domain>`;
        const { uuid } = (await call(bus, defineDomain, { xml, host })).domain;
        this.domains.push((await call(bus, startDomain, {}, { target: uuid })).domain);
      }
    }
    for (let n = 0; n < realGuests; n++) {
      if (hosts.length > 0) {
        const { uuid } = await stack.run(bus, { name: `machine-${n}`, host: hosts[0]! });
        this.keep(uuid, () => stack.pidOf(uuid));
      }
      if (lxcHosts.length > 0) {
        const { uuid } = await stack.runContainer(bus, { name: `container-${n}` });
        this.keep(uuid, () => stack.supervisorOf(uuid));
      }
    }
  }

  private keep(uuid: string, pid: () => number): void {
    this.real.push({ uuid, pid, before: pid() });
  }
}
