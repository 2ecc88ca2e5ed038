/** A place as the options of QEMU's protocol driver, without node name, cache or secrets: what `json:` strings hold. */
import { VirtError, type Location, type StorageHost, type StorageProtocol } from '@virtbus/shared';
import type { JsonObject } from './deflatten';
import { portOf } from './default-ports';
import { unbracketed, type NetworkLocation } from './network';

const unsupported = (detail: string): never => {
  throw new VirtError('CONFIG_UNSUPPORTED', { detail });
};

/**
 * @param use a directory becomes a floppy for a floppy drive, a hard disk else
 * @throws VirtError CONFIG_UNSUPPORTED for what no protocol driver opens
 */
export function blockdevOf(location: Location, use: { floppy?: boolean } = {}): JsonObject {
  switch (location.type) {
    case 'file':
      return { driver: 'file', filename: location.path };
    case 'block':
      return { driver: 'host_device', filename: location.path };
    case 'dir':
      return { driver: 'vvfat', dir: location.path, floppy: use.floppy === true };
    case 'nvme':
      return { driver: 'nvme', device: pciAddress(location.address), namespace: location.namespace };
    case 'vhostvdpa':
      return { driver: 'virtio-blk-vhost-vdpa', path: location.path };
    case 'vhostuser':
      return unsupported('a vhost-user disk has no block node');
    case 'network':
      return { driver: location.protocol, ...networkOptions(location) };
  }
}

type PciAddress = Extract<Location, { type: 'nvme' }>['address'];

/** `0000:02:00.0`: how the kernel names a PCI device. */
export function pciAddress({ domain, bus, slot, function: fn }: PciAddress): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(slot, 2)}.${hex(fn, 1)}`;
}

function networkOptions(location: NetworkLocation): JsonObject {
  const { protocol, hosts, name = '' } = location;
  switch (protocol) {
    case 'nbd':
      return {
        server: socketAddress(only(location), protocol),
        ...(location.name !== undefined && { export: name }),
        ...(location.reconnectDelay !== undefined && { 'reconnect-delay': location.reconnectDelay }),
      };
    case 'rbd':
      return rbdOptions(location);
    case 'iscsi': {
      const [target = '', lun = '0'] = name.split('/');
      return { portal: `${serverName(only(location), protocol)}`, target, lun: Number(lun), transport: 'tcp' };
    }
    case 'http':
    case 'https':
    case 'ftp':
    case 'ftps':
    case 'tftp':
      return curlOptions(location);
    case 'ssh':
      return {
        path: name,
        server: inetAddress(only(location), protocol),
        ...(location.user !== undefined && { user: location.user }),
      };
    case 'nfs':
      return {
        server: { host: tcp(only(location), protocol).name, type: 'inet' },
        path: name.startsWith('/') ? name : `/${name}`,
        ...numericId('user', location.user),
        ...numericId('group', location.group),
      };
    case 'gluster': {
      const [volume = '', ...path] = name.split('/');
      return { volume, path: path.join('/'), server: hosts.map((host) => socketAddress(host, protocol)) };
    }
    case 'sheepdog':
      return { server: socketAddress(only(location), protocol), vdi: name };
    case 'vxhs':
      return { 'vdisk-id': name, server: inetAddress(only(location), protocol) };
  }
}

function rbdOptions({ name = '', hosts, snapshot, config }: NetworkLocation): JsonObject {
  const [pool = '', ...rest] = name.split('/');
  const image = rest.pop() ?? '';
  return {
    pool,
    ...(rest.length > 0 && { namespace: rest.join('/') }),
    image,
    ...(snapshot !== undefined && { snapshot }),
    ...(config !== undefined && { conf: config }),
    ...(hosts.length > 0 && {
      server: hosts.map((host) => ({ host: tcp(host, 'rbd').name, port: String(tcp(host, 'rbd').port ?? 0) })),
    }),
  };
}

function curlOptions(location: NetworkLocation): JsonObject {
  const { protocol, name = '', query, sslVerify, cookies, readahead, timeout } = location;
  const path = name.startsWith('/') ? name : `/${name}`;
  return {
    url: `${protocol}://${serverName(only(location), protocol)}${path}${query === undefined ? '' : `?${query}`}`,
    ...(sslVerify !== undefined && { sslverify: sslVerify }),
    ...(cookies && { cookie: cookies.map((cookie) => `${cookie.name}=${cookie.value}`).join('; ') }),
    ...(readahead !== undefined && { readahead }),
    ...(timeout !== undefined && { timeout }),
  };
}

function only({ protocol, hosts }: NetworkLocation): StorageHost {
  const [host, ...others] = hosts;
  return host === undefined || others.length > 0 ? unsupported(`protocol '${protocol}' accepts only one host`) : host;
}

function tcp(host: StorageHost, protocol: StorageProtocol): { name: string; port?: number | undefined } {
  if (host.transport === 'tcp') return host;
  return unsupported(`protocol '${protocol}' does not support the ${host.transport} transport`);
}

function socketAddress(host: StorageHost, protocol: StorageProtocol): JsonObject {
  return host.transport === 'unix'
    ? { type: 'unix', path: host.socket }
    : { type: 'inet', ...inetAddress(host, protocol) };
}

function inetAddress(host: StorageHost, protocol: StorageProtocol): JsonObject {
  const { name, port } = tcp(host, protocol);
  return { host: name, port: String(portOf(protocol, port) ?? 0) };
}

function serverName(host: StorageHost, protocol: StorageProtocol): string {
  const { name, port } = tcp(host, protocol);
  return `${name.includes(':') ? `[${unbracketed(name)}]` : name}:${portOf(protocol, port)}`;
}

function numericId(key: 'user' | 'group', id: string | undefined): JsonObject {
  if (id === undefined) return {};
  const number = /^\+?(\d+)$/.exec(id)?.[1];
  return number === undefined ? unsupported(`'${id}' is not a numeric ${key} id`) : { [key]: Number(number) };
}
