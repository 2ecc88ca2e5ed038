/** The servers of a stack's bus, and what its users are told of how to reach them. */
import { BusUsers } from './bus-users';
import type { HostsInNamespaces } from './hosts-in-namespaces';
import { startNatsCluster, startNatsServer, type NatsServer } from './nats-server';
import type { TemporaryFolder } from './temporary-folder';

export interface BusOptions {
  /** Servers of the bus, one cluster; default 1. Streams and buckets have a copy on each. */
  natsServers?: number;
  /** What a host is told of how to reach a server of the bus: its address, or that of something in between. */
  reach?: (host: string, server: NatsServer) => Promise<string>;
  /** Where the services of QEMU hosts run; default: beside the test. */
  namespaces?: HostsInNamespaces;
}

/** Starts the servers, and writes a context file for each role and host into the folder. */
export async function startBus(
  folder: TemporaryFolder,
  hosts: readonly string[],
  options: BusOptions,
): Promise<readonly NatsServer[]> {
  const users = await BusUsers.create(folder, hosts);
  const servers = await startServers(options, users);
  users.write(urlOf(servers, options), await detours(hosts, servers, options));
  return servers;
}

async function startServers({ natsServers = 1, namespaces }: BusOptions, users: BusUsers): Promise<NatsServer[]> {
  if (natsServers > 1) return startNatsCluster(natsServers, (server) => users.serverTrust(server));
  return [await startNatsServer({ authorization: await users.serverTrust(), everywhere: namespaces !== undefined })];
}

function urlOf(servers: readonly NatsServer[], { namespaces }: BusOptions): string {
  return servers.map(({ port }) => `nats://${namespaces?.outside ?? '127.0.0.1'}:${port}`).join(',');
}

/** The addresses that hosts are told instead, by user. */
async function detours(
  hosts: readonly string[],
  servers: readonly NatsServer[],
  { reach }: BusOptions,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const host of reach ? hosts : []) {
    const urls: string[] = [];
    for (const server of servers) urls.push(await reach!(host, server));
    found.set(`host-${host}`, urls.join(','));
  }
  return found;
}
