/** Network cards: the host's side (`-netdev`) and the guest's side (`-device`). */
import type { Interface } from '../elements/interface';
import { bootProps } from './boot-order';
import { chardevId } from './character';
import { addBackend } from './character-backend';
import { aliasOf, hasFlag, unsupported, type Guest } from './context';
import { addressProps } from './device-address';
import { nonZero, props, type LooseProps, type Props } from './props';
import { romProps } from './rom';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export const netdevId = (network: Interface): string => `host${aliasOf(network)}`;

/** What the caller has opened for one interface: descriptors, or the names under which QEMU was given them. */
export interface InterfaceDescriptors {
  readonly taps?: readonly string[];
  readonly vhost?: readonly string[];
  /** `/dev/fdset/N` of a vDPA device. */
  readonly vdpa?: string;
}

export const isVirtioModel = ({ model }: Interface): boolean => model?.type?.startsWith('virtio') === true;

/** Interfaces whose packets pass through a tap device of the host. */
export const usesTap = ({ type }: Interface): boolean =>
  type === 'network' || type === 'bridge' || type === 'ethernet' || type === 'direct';

export function usesVhost({ context }: Guest, network: Interface): boolean {
  return usesTap(network) && isVirtioModel(network) && network.driver?.name !== 'qemu' && context.vhostNet !== false;
}

export const queuesOf = ({ driver }: Interface): number => Math.max(1, driver?.queues ?? 1);

export function addInterfaces(out: CommandWords, guest: Guest): void {
  for (const network of guest.domain.devices.interfaces) {
    if (network.backend?.tap !== undefined && !usesTap(network))
      unsupported(
        `interface ${network.mac?.address ?? aliasOf(network)} - custom tap device path is not supported for network interfaces of type ${network.type}`,
      );
    // A device of the host that the guest gets whole stands among the host devices.
    if (network.type === 'hostdev') continue;
    if (network.type === 'vhostuser') addVhostUserChardev(out, guest, network);
    const descriptors = openDescriptors(out, guest, network);
    out.netdev(netdevProps(guest, network, descriptors));
    out.device(interfaceProps(guest, network));
  }
}

function openDescriptors(out: CommandWords, guest: Guest, network: Interface): InterfaceDescriptors {
  const alias = aliasOf(network);
  const each = (kind: 'tap' | 'vhost-net'): string[] =>
    Array.from({ length: queuesOf(network) }, (_, queue) => String(out.descriptor({ kind, alias, queue })));
  return {
    ...(usesTap(network) && guest.context.tapsByName !== true && { taps: each('tap') }),
    ...(usesVhost(guest, network) && { vhost: each('vhost-net') }),
    ...(network.type === 'vdpa' && {
      vdpa: out.fdSet({ kind: 'vhost-vdpa', alias, path: network.source?.dev ?? '' }, `${alias}-vdpa`),
    }),
  };
}

function addVhostUserChardev(out: CommandWords, guest: Guest, network: Interface): void {
  const { mode, reconnect } = network.source ?? {};
  const isPasst = network.backend?.type === 'passt';
  const path = isPasst ? passtSocket(guest, network) : network.source?.path;
  const again = isPasst ? { enabled: true, timeout: helperReconnect } : reconnect;
  const socket = {
    type: 'unix' as const,
    sources: [
      { path, mode: mode === 'server' ? ('bind' as const) : ('connect' as const), reconnect: again, seclabels: [] },
    ],
  };
  addBackend(out, guest, socket, { id: chardevId(network), alias: aliasOf(network), wait: 'unsaid', pass: false });
}

/** Seconds after which QEMU looks for a helper that went away. */
const helperReconnect = 5;

/** Arguments of `netdev_add`. */
export function netdevProps(guest: Guest, network: Interface, descriptors: InterfaceDescriptors = {}): Props {
  return props(backendProps(guest, network, descriptors), { id: netdevId(network) });
}

function backendProps(guest: Guest, network: Interface, descriptors: InterfaceDescriptors): LooseProps {
  const { source, type } = network;
  const at = `${source?.address ?? ''}:${source?.port ?? 0}`;
  switch (type) {
    case 'network':
    case 'bridge':
    case 'ethernet':
    case 'direct':
      return tapProps(network, descriptors);
    case 'user':
      return network.backend?.type === 'passt' ? passtProps(guest, network) : userProps(network);
    case 'client':
      return { type: 'socket', connect: at };
    case 'server':
      return { type: 'socket', listen: at };
    case 'mcast':
      return { type: 'socket', mcast: at };
    case 'udp':
      return { type: 'socket', udp: at, localaddr: `${source?.local?.address ?? ''}:${source?.local?.port ?? 0}` };
    case 'vhostuser': {
      const queues = queuesOf(network);
      return { type: 'vhost-user', chardev: chardevId(network), queues: queues > 1 ? queues : undefined };
    }
    case 'vdpa':
      return {
        type: 'vhost-vdpa',
        vhostdev: descriptors.vdpa ?? source?.dev,
        queues: queuesOf(network) > 1 ? queuesOf(network) : undefined,
      };
    default:
      return unsupported(`network type '${type}' is not supported by QEMU`);
  }
}

function tapProps(network: Interface, { taps = [], vhost = [] }: InterfaceDescriptors): LooseProps {
  if (taps.length === 0) return tapByName(network);
  const one = taps.length === 1;
  return {
    type: 'tap',
    [one ? 'fd' : 'fds']: taps.join(':'),
    ...(vhost.length > 0 && { vhost: true, [vhost.length === 1 ? 'vhostfd' : 'vhostfds']: vhost.join(':') }),
    sndbuf: network.tune?.sndbuf,
  };
}

/** QEMU opens a tap that exists already; nobody configures it any more. */
function tapByName({ target, tune }: Interface): LooseProps {
  const ifname = target?.dev ?? unsupported('the interface has no tap device');
  return { type: 'tap', ifname, script: 'no', downscript: 'no', sndbuf: tune?.sndbuf };
}

function userProps(network: Interface): LooseProps {
  const ipv4 = network.ips.find(({ family }) => family !== 'ipv6');
  const ipv6 = network.ips.find(({ family }) => family === 'ipv6');
  return {
    type: 'user',
    net: ipv4 && (ipv4.prefix === undefined ? ipv4.address : `${ipv4.address}/${ipv4.prefix}`),
    'ipv6-prefix': ipv6?.address,
    'ipv6-prefixlen': nonZero(ipv6?.prefix),
  };
}

function passtSocket({ context }: Guest, network: Interface): string {
  const { helperSockets, runDir, shortName } = context;
  const alias = aliasOf(network);
  return helperSockets?.[alias] ?? `${runDir}/passt/${shortName}-${alias}.socket`;
}

function passtProps(guest: Guest, network: Interface): LooseProps {
  return {
    type: 'stream',
    addr: { type: 'unix', path: passtSocket(guest, network) },
    server: false,
    ...(hasFlag(guest, 'netdev-stream-reconnect-miliseconds')
      ? { 'reconnect-ms': helperReconnect * 1000 }
      : hasFlag(guest, 'netdev.stream.reconnect')
        ? { reconnect: helperReconnect }
        : {}),
  };
}

/** Arguments of `device_add`. */
export function interfaceProps(guest: Guest, network: Interface): Props {
  const model = network.model?.type ?? unsupported('the network card has no model');
  const isVirtio = isVirtioModel(network);
  return props(
    isVirtio
      ? { ...virtioProps('virtio-net', network, network.driver, model), ...virtioOptions(guest, network) }
      : { driver: model },
    {
      host_mtu: isVirtio ? network.mtu?.size : undefined,
      failover: network.teaming?.type === 'persistent' ? true : undefined,
      netdev: netdevId(network),
      id: aliasOf(network),
      mac: network.mac?.address,
      ...bootProps(guest, network),
    },
    addressProps(guest, network),
    romProps(network),
  );
}

function virtioOptions(guest: Guest, network: Interface): LooseProps {
  const { driver } = network;
  const { host, guest: inside } = driver ?? {};
  const queues = queuesOf(network);
  const onCcw = network.address?.type === 'ccw';
  return {
    tx: driver?.txmode && (driver.txmode === 'iothread' ? 'bh' : 'timer'),
    ioeventfd: driver?.ioeventfd,
    event_idx: driver?.event_idx,
    csum: host?.csum,
    gso: host?.gso,
    host_tso4: host?.tso4,
    host_tso6: host?.tso6,
    host_ecn: host?.ecn,
    host_ufo: host?.ufo,
    mrg_rxbuf: host?.mrg_rxbuf,
    guest_csum: inside?.csum,
    guest_tso4: inside?.tso4,
    guest_tso6: inside?.tso6,
    guest_ecn: inside?.ecn,
    guest_ufo: inside?.ufo,
    // One vector for each direction of each queue, one for changes of configuration, one for control.
    ...(queues > 1 && { mq: true, vectors: onCcw ? undefined : 2 * queues + 2 }),
    rx_queue_size: driver?.rx_queue_size,
    tx_queue_size: driver?.tx_queue_size,
    rss: driver?.rss,
    hash: driver?.rss_hash_report,
  };
}
