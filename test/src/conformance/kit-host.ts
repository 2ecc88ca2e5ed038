/**
 * The host on which libvirt's command lines were recorded, as the kit's README and `host.json` describe it: its folders, numbers of
 * descriptors, secrets, pools and networks.
 */
import { createCipheriv } from 'node:crypto';
import {
  readXml,
  type CommandLineContext,
  type DescriptorUse,
  type Disk,
  type Domain,
  type QemuCapabilities,
  type SecretRequest,
  type XmlElement,
} from '@virtbus/domain-xml';
import type { Kit } from './kit';

/** How the recorded daemon differed from the default for one case. */
export interface HostCase {
  options?: {
    migrateFrom?: string;
    migrateFd?: number;
    fdGroups?: { name: string; writable: boolean; fds: number[] }[];
    vdpaFds?: Record<string, number>;
    nbdkitCaps?: string[];
  };
  driverConfig?: {
    spiceTLS?: boolean;
    vncTLS?: boolean;
    vncTLSx509verify?: boolean;
    vncTLSx509secretUUID?: string;
    vncSASL?: boolean;
    chardevTLS?: boolean;
    dumpGuestCore?: boolean;
  };
}

const shortName = ({ name }: Domain): string => `-1-${name.slice(0, 20)}`;

export const channelFolder = (domain: Domain): string => `/var/run/libvirt/qemu/channel/${shortName(domain)}`;

export function hostContext(one: HostCase, capabilities: QemuCapabilities, domain: Domain): CommandLineContext {
  const { options = {}, driverConfig = {} } = one;
  const domainDir = `/var/lib/libvirt/qemu/domain-${shortName(domain)}`;
  const { migrateFrom, migrateFd, fdGroups = [], nbdkitCaps } = options;
  return {
    capabilities,
    domainDir,
    shortName: shortName(domain),
    monitor: { descriptor: 1729 },
    masterKey: `${domainDir}/master-key.aes`,
    secret: encrypt,
    descriptor: (use) => descriptorNumber(use, domain, options.vdpaFds),
    passSockets: true,
    passFiles: true,
    allowUnknownChain: true,
    fdGroups: new Map(fdGroups.map(({ name, ...group }) => [name, group])),
    ...(migrateFrom !== undefined && { incoming: migrateFrom === 'stdio' ? `fd:${migrateFd}` : migrateFrom }),
    environment: { PATH: '/bin', USER: 'test', LOGNAME: 'test' },
    settings: settingsOf(driverConfig),
    hugePages: [
      { sizeKib: 2048, mount: '/dev/hugepages2M', isDefault: true },
      { sizeKib: 1048576, mount: '/dev/hugepages1G', isDefault: false },
    ],
    autoNodeset: '0-3',
    numaNodes: [0, 1, 2, 3],
    memoryDir: '/var/lib/libvirt/qemu/ram',
    runDir: '/var/run/libvirt/qemu',
    shmemDir: '/var/lib/libvirt',
    renderNode: '/dev/dri/foo',
    now: { seconds: 1234567890, zoneOffset: -1800 },
    ...(nbdkitCaps && { nbdkit: nbdkitProtocols(nbdkitCaps) }),
    scsiGeneric: () => '/dev/sg0',
    helperSockets: Object.fromEntries(domain.devices.tpms.map(({ alias }) => [alias?.name ?? '', '/dev/test'])),
  };
}

function settingsOf(config: NonNullable<HostCase['driverConfig']>): NonNullable<CommandLineContext['settings']> {
  const secret = config.vncTLSx509secretUUID;
  return {
    spicePassword: true,
    spiceTls: config.spiceTLS === true,
    vncSasl: config.vncSASL === true,
    saslFolder: '/etc/sasl2',
    dumpGuestCore: config.dumpGuestCore === true,
    chardevTls: { byDefault: config.chardevTLS === true, verifyPeer: true },
    ...(config.vncTLS && {
      vncTls: { verifyPeer: config.vncTLSx509verify === true, ...(secret !== undefined && { secret }) },
    }),
    tlsFolders: {
      vnc: '/etc/pki/libvirt-vnc',
      spice: '/etc/pki/libvirt-spice',
      chardev: '/etc/pki/libvirt-chardev',
      nbd: '/etc/pki/libvirt-nbd',
    },
  };
}

const nbdkitProtocols = (plugins: readonly string[]): Set<string> =>
  new Set(plugins.flatMap((plugin) => (plugin === 'plugin-curl' ? ['http', 'https', 'ftp', 'ftps'] : ['ssh'])));

const count = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => index));

/** What every secret of these guests holds. */
export const passphrase = 'AQCVn5hO6HzFAhAAq0NCv8jtJcIcE+HOBlMQ1A';

/** Key bytes 00..1f, IV bytes 00..0f, and one secret for all. */
function encrypt({ type, text }: SecretRequest): { data: string; iv: string } {
  const iv = count(16);
  const cipher = createCipheriv('aes-256-cbc', count(32), iv);
  const plain = type === 'cookie' ? (text ?? '') : passphrase;
  const data = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  return { data: data.toString('base64'), iv: iv.toString('base64') };
}

function descriptorNumber(use: DescriptorUse, domain: Domain, vdpa: Record<string, number> = {}): number {
  switch (use.kind) {
    case 'listening-socket':
    case 'vhost-user-gpu':
      return 1729;
    case 'file':
      return 1750;
    case 'log':
      return 1751;
    case 'tap': {
      const network = domain.devices.interfaces.find(({ alias }) => alias?.name === use.alias);
      return (network?.type === 'ethernet' ? 3 : 102) + use.queue;
    }
    case 'vhost-net':
      return 44 + use.queue;
    case 'vhost-vsock':
      return 6789;
    case 'vhost-scsi':
      return 3;
    case 'vhost-vdpa':
      return vdpa[use.path] ?? 1732;
    case 'slirp':
      return 42;
    case 'tpm':
      return use.what === 'device' ? 1730 : 1731;
  }
}

/** What the daemon looks up or chooses before it builds a command line; in place. */
export function lookUp(kit: Kit, domain: Domain): void {
  domain.devices.disks = domain.devices.disks.filter((disk) => resolveVolume(kit, disk));
  resolveNetworks(kit, domain);
  choosePorts(domain);
  if (domain.genid === '') domain.genid = '00010203-0405-4607-8809-0a0b0c0d0e0f';
  const { vsock } = domain.devices;
  if (vsock?.cid?.auto) vsock.cid.address = 42;
}

/** False when the disk is dropped because its volume can not be had. */
function resolveVolume(kit: Kit, disk: Disk): boolean {
  const { source } = disk;
  if (disk.type !== 'volume' || source?.pool === undefined) return true;
  if (source.pool === 'inactive') {
    if (disk.device === 'cdrom' || disk.device === 'floppy') delete disk.source;
    return disk.device !== 'disk';
  }
  const pool = readXml(kit.read(`support/storage-pools/${source.pool}.xml`));
  if (pool.attributes['type'] === 'iscsi' && source.mode === 'direct') {
    const [host, device] = ['host', 'device'].map((name) => find(pool, 'source', name)?.attributes);
    const unit = /:(\d+)$/.exec(source.volume ?? '')?.[1] ?? '0';
    disk.type = 'network';
    disk.source = {
      ...source,
      protocol: 'iscsi',
      name: `${device?.['path']}/${unit}`,
      hosts: [{ name: host?.['name'], port: 3260, transport: 'tcp' }],
    };
  } else {
    const [type, name] = source.volume?.includes('+') ? source.volume.split('+') : ['block', source.volume];
    const path = `/some/${type}/device/${name}`;
    disk.type = type === 'file' ? 'file' : 'block';
    disk.source = { ...source, [type === 'file' ? 'file' : 'dev']: path };
  }
  return true;
}

const find = (element: XmlElement, ...path: string[]): XmlElement | undefined =>
  path.reduce<XmlElement | undefined>((at, name) => at?.children.find((child) => child.name === name), element);

/** `NET;PORT` names a network and the port that is made for the interface. */
function resolveNetworks(kit: Kit, { devices }: Domain): void {
  for (const network of devices.interfaces) {
    const port = network.source?.network?.split(';')[1];
    if (network.type !== 'network' || !port) continue;
    const plug = find(readXml(kit.read(`support/network-ports/${port}.xml`)), 'plug');
    const address = plug && find(plug, 'address')?.attributes;
    if (plug?.attributes['type'] !== 'hostdev-pci' || !address) continue;
    const number = (name: string): number => Number(address[name]);
    network.type = 'hostdev';
    network.source = {
      ...network.source,
      ips: [],
      routes: [],
      hostAddress: {
        type: 'pci',
        domain: number('domain'),
        bus: number('bus'),
        slot: number('slot'),
        function: number('function'),
      },
    };
  }
  for (const { listens } of devices.graphics) {
    for (const listen of listens) {
      const network = listen.type === 'network' ? listen.network?.split(';')[0] : undefined;
      if (network === undefined) continue;
      const address = find(readXml(kit.read(`support/networks/${network}.xml`)), 'ip')?.attributes['address'];
      if (address !== undefined) listen.address = address;
    }
  }
}

function choosePorts({ devices }: Domain): void {
  for (const graphics of devices.graphics) {
    const listens = graphics.listens[0]?.type;
    if (listens === 'none' || listens === 'socket') continue;
    if (graphics.type === 'vnc') graphics.port ??= 5900;
    if (graphics.type === 'spice' && graphics.autoport) graphics.port ??= 5901;
  }
}
