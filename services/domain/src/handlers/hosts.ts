/** The list of hosts, from their heartbeats. */
import { listHosts } from '@virtbus/shared';
import { endpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';

export function hostsEndpoint({ hosts }: Fleet): Endpoint {
  return endpoint(listHosts, async () => ({ hosts: hosts.list() }));
}
