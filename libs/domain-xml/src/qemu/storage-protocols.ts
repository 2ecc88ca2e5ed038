/** QEMU's protocol drivers: how each kind of source is opened, without what all nodes share. */
import { VirtError } from '@virtbus/shared';
import type { HostLocation } from '../elements/hostdev';
import { storagePorts, type StorageHost } from '../elements/storage-source';
import type { Image } from './block-chain';
import type { Layers } from './block-layers';
import { authSecret, cookieSecret, encryptionSecret, tlsObject } from './block-secrets';
import { unsupported, type Guest } from './context';
import type { JsonValue, LooseProps } from './props';

/** Messages that help, without one for each request. */
const glusterDebugLevel = 4;

/** Properties with the driver first. @param path under which QEMU finds the file, when it was passed */
export function protocolProps(guest: Guest, image: Image, layers: Layers, path?: string): LooseProps {
  const { type, source } = image;
  switch (type) {
    case 'file':
      return fileProps(image, path ?? source.file);
    case 'block':
      return fileProps(image, path ?? source.dev);
    case 'dir':
      return { driver: 'vvfat', dir: source.dir, floppy: image.isFloppy === true, rw: !image.readOnly };
    case 'nvme':
      return { driver: 'nvme', device: hostPciAddress(source.address), namespace: source.namespace };
    case 'vhostvdpa':
      return { driver: 'virtio-blk-vhost-vdpa', path: path ?? source.dev };
    case 'network':
      return isServedByNbdkit(guest, image) ? nbdkitProps(guest, layers) : networkProps(image, layers);
    case 'volume':
      return unsupported('the volume has to be looked up in its pool before a command line is built');
    case 'vhostuser':
      return unsupported('a vhost-user disk has no block node');
  }
}

function fileProps(image: Image, filename: string | undefined): LooseProps {
  const isBlock = image.type === 'block';
  const isHostCdrom = isBlock && image.isCdrom && filename === '/dev/cdrom';
  return {
    driver: isHostCdrom ? 'host_cdrom' : isBlock ? 'host_device' : 'file',
    filename,
    aio: image.io,
    'pr-manager': image.source.reservations ? managerAlias(image) : undefined,
  };
}

/** The persistent-reservation helper that serves an image: one for all that libvirt starts, one each otherwise. */
export const managerAlias = ({ source, name }: Image): string =>
  source.reservations?.managed === true ? 'pr-helper0' : `pr-helper-${name}-storage`;

/** `0000:02:00.0`: how the kernel names a PCI device. */
export function hostPciAddress(address: Omit<HostLocation, 'type'> = {}): string {
  const hex = (value: number | undefined, digits: number) => (value ?? 0).toString(16).padStart(digits, '0');
  return `${hex(address.domain, 4)}:${hex(address.bus, 2)}:${hex(address.slot, 2)}.${hex(address.function, 1)}`;
}

/** nbdkit reads the image and holds its secrets; QEMU only speaks to it. */
export const isServedByNbdkit = ({ context }: Guest, { type, source }: Image): boolean =>
  type === 'network' && source.protocol !== undefined && context.nbdkit?.has(source.protocol) === true;

const nbdkitProps = ({ context }: Guest, { storage }: Layers): LooseProps => ({
  driver: 'nbd',
  server: { type: 'unix', path: `${context.domainDir}/nbdkit-${storage}.socket` },
});

function networkProps(image: Image, layers: Layers): LooseProps {
  const { source } = image;
  const hosts = source.hosts;
  switch (source.protocol) {
    case 'nbd':
      return {
        driver: 'nbd',
        server: socketAddress(firstHost(image), 'nbd'),
        export: source.name,
        'tls-creds': source.tls === true ? tlsObject(image) : undefined,
        'tls-hostname': source.tlsHostname,
        'reconnect-delay': source.reconnect?.delay,
      };
    case 'rbd':
      return rbdProps(image, layers);
    case 'iscsi':
      return iscsiProps(image);
    case 'http':
    case 'https':
    case 'ftp':
    case 'ftps':
    case 'tftp':
      return curlProps(image, source.protocol);
    case 'ssh':
      return {
        driver: 'ssh',
        path: source.name,
        server: inetHostPort(firstHost(image), 'ssh'),
        user: source.identity?.username ?? image.auth?.username,
      };
    case 'nfs':
      return {
        driver: 'nfs',
        server: { host: firstHost(image).name ?? '', type: 'inet' },
        path: source.name === undefined || source.name.startsWith('/') ? source.name : `/${source.name}`,
        user: numericId(source.identity?.user),
        group: numericId(source.identity?.group),
      };
    case 'gluster': {
      const [volume, ...rest] = (source.name ?? '').split('/');
      return {
        driver: 'gluster',
        volume,
        path: rest.join('/'),
        server: hosts.map((host) => socketAddress(host, 'gluster')),
        debug: glusterDebugLevel,
      };
    }
    case 'sheepdog':
      return { driver: 'sheepdog', server: socketAddress(firstHost(image), 'sheepdog'), vdi: source.name };
    case 'vxhs':
      return { driver: 'vxhs', 'vdisk-id': source.name, server: inetHostPort(firstHost(image), 'vxhs') };
    case undefined:
      throw new VirtError('XML_ERROR', { detail: 'missing network source protocol type' });
  }
}

function firstHost({ source }: Image): StorageHost {
  const [host, ...others] = source.hosts;
  if (host === undefined || others.length > 0)
    return unsupported(`protocol '${source.protocol}' accepts only one host`);
  return host;
}

const portOf = (host: StorageHost, protocol: string): string => String(host.port || (storagePorts[protocol] ?? 0));

function socketAddress(host: StorageHost, protocol: string): JsonValue {
  if (host.transport === 'unix') return { type: 'unix', path: host.socket ?? '' };
  if (host.transport === 'rdma') return unsupported(`protocol '${protocol}' does not support the rdma transport`);
  return { type: 'inet', host: host.name ?? '', port: portOf(host, protocol) };
}

const inetHostPort = (host: StorageHost, protocol: string): JsonValue => ({
  host: host.name ?? '',
  port: portOf(host, protocol),
});

/** A user or group id of an NFS source: `+N` is a number, too; a name would have to be looked up on the host. */
function numericId(id: string | undefined): number | undefined {
  if (id === undefined) return undefined;
  const number = /^\+?(\d+)$/.exec(id)?.[1];
  return number === undefined ? unsupported(`'${id}' is not a numeric user or group id`) : Number(number);
}

function rbdProps(image: Image, layers: Layers): LooseProps {
  const { source, auth, encryption } = image;
  const name = source.name ?? '';
  const slash = name.indexOf('/');
  const path = slash < 0 ? { pool: name, image: '' } : { pool: name.slice(0, slash), image: name.slice(slash + 1) };
  const parts = path.image.split('/');
  const isNamespaced = parts.length > 1;
  return {
    driver: 'rbd',
    pool: path.pool,
    namespace: isNamespaced ? parts[0] : undefined,
    image: isNamespaced ? parts.slice(1).join('/') : path.image,
    snapshot: source.snapshot?.name,
    conf: source.config?.file,
    server:
      source.hosts.length > 0
        ? source.hosts.map((host) => ({ host: host.name ?? '', port: String(host.port ?? 0) }))
        : undefined,
    user: auth?.username,
    'auth-client-required': auth ? ['cephx', 'none'] : undefined,
    'key-secret': auth ? authSecret(image) : undefined,
    encrypt:
      encryption?.engine === 'librbd'
        ? {
            format: encryption.format === 'default' ? 'luks' : encryption.format,
            'key-secret': encryptionSecret(layers),
          }
        : undefined,
  };
}

function iscsiProps(image: Image): LooseProps {
  const { source, auth } = image;
  const host = firstHost(image);
  const [target = '', lun = '0'] = (source.name ?? '').split('/');
  const name = host.name?.includes(':') ? `[${host.name}]` : (host.name ?? '');
  return {
    driver: 'iscsi',
    portal: `${name}:${portOf(host, 'iscsi')}`,
    target,
    lun: Number(lun),
    transport: 'tcp',
    user: auth?.username,
    'password-secret': auth ? authSecret(image) : undefined,
    'initiator-name': source.initiator?.iqn?.name,
  };
}

function curlProps(image: Image, protocol: string): LooseProps {
  const { source, auth } = image;
  const host = firstHost(image);
  const name = host.name?.includes(':') ? `[${host.name}]` : (host.name ?? '');
  const path = source.name ?? '';
  const query = source.query === undefined ? '' : `?${source.query}`;
  return {
    driver: protocol,
    url: `${protocol}://${name}:${portOf(host, protocol)}${path.startsWith('/') ? '' : '/'}${path}${query}`,
    username: auth?.username,
    'password-secret': auth ? authSecret(image) : undefined,
    sslverify: source.ssl?.verify,
    'cookie-secret': source.cookies?.cookies.length ? cookieSecret(image) : undefined,
    readahead: source.readahead?.size,
    timeout: source.timeout?.seconds,
  };
}
