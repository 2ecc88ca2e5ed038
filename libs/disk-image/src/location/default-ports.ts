/** Ports that are meant when a host names none. rbd and nfs have no such port. */
import type { StorageHost, StorageProtocol } from '@virtbus/shared';

const ports: Partial<Readonly<Record<StorageProtocol, number>>> = {
  http: 80,
  https: 443,
  ftp: 21,
  ftps: 990,
  tftp: 69,
  sheepdog: 7000,
  nbd: 10809,
  ssh: 22,
  iscsi: 3260,
  gluster: 24007,
  vxhs: 9999,
};

export const portOf = (protocol: StorageProtocol, port: number | undefined): number | undefined =>
  port ?? ports[protocol];

export const withDefaultPorts = (protocol: StorageProtocol, hosts: readonly StorageHost[]): StorageHost[] =>
  hosts.map((host) => {
    const port = host.transport === 'tcp' ? portOf(protocol, host.port) : undefined;
    return port === undefined ? host : { ...host, port };
  });
