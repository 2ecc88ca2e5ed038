/** Network cards, and whose network the container is in. */
import type { Domain } from '../../elements/domain';
import type { GuestAddress, GuestRoute } from '../../elements/guest-address';
import type { Interface } from '../../elements/interface';
import { lineOf } from '../../schema';
import { defaultPrefix, isAddress, isDefaultRoute } from '../addresses';
import type { LxcFacts } from '../facts';
import { refuse, type ConfigLines, type Where } from './lines';

/** No card, no private network and none that is shared: the container is in the host's own. */
export function hasHostNetwork({ devices, features, lxcNamespace }: Domain): boolean {
  const hasCard = devices.interfaces.length > 0 || devices.hostdevs.some(({ type }) => type === 'net');
  return !hasCard && !features.privnet && !lxcNamespace?.net;
}

/** A namespace that is shared, as liblxc wants it: a process id or a path. */
export function writeNamespaces(lines: ConfigLines, { lxcNamespace: shared }: Domain, facts: LxcFacts): void {
  for (const kind of ['net', 'ipc', 'uts'] as const) {
    const share = shared?.[kind];
    if (!share) continue;
    const where = { element: `lxc:share${kind}`, line: lineOf(share) };
    const owner = ownerOf(share, facts, where);
    lines.set(`lxc.namespace.share.${kind}`, facts.namespace?.(kind) ?? owner, where);
  }
}

function ownerOf({ type, value }: { type: string; value: string }, facts: LxcFacts, where: Where): string {
  if (type === 'pid') return /^[1-9]\d{0,9}$/.test(value) ? value : refuse(`'${value}' is no process id`, where);
  if (type === 'netns')
    return /^[\w.-]+$/.test(value) && !/^\.+$/.test(value)
      ? `/run/netns/${value}`
      : refuse(`'${value}' is no name of a network namespace; 'ip netns' lists them`, where);
  // liblxc takes a number for a process and a path for a namespace: neither is meant here.
  if (/^\d+$|\//.test(value)) refuse(`'${value}' is no name of a container`, where);
  if (!facts.initPid) return value;
  return String(facts.initPid(value) ?? refuse(`container '${value}' does not run on this host`, where));
}

/**
 * What each `<interface>` is called inside, in their order: as it says, else `eth` and its place, as liblxc counts. Where that is
 * another's name, the first number that is free. A card of the host keeps its name in there.
 */
export function lxcCardNames({ interfaces, hostdevs }: Pick<Domain['devices'], 'interfaces' | 'hostdevs'>): string[] {
  const given = interfaces.map(({ guest }) => guest?.dev);
  const moved = hostdevs.flatMap(({ type, source }) => (type === 'net' ? [source?.interface] : []));
  const taken = new Set([...given, ...moved]);
  const placed = given.map((name, index) => {
    const own = `eth${index}`;
    return name ?? (taken.has(own) ? undefined : own);
  });
  for (const name of placed) taken.add(name);
  return placed.map((name) => {
    const free = name ?? firstFree('eth', (one) => taken.has(one));
    taken.add(free);
    return free;
  });
}

/** The name with the lowest number that is not taken. */
export function firstFree(prefix: string, isTaken: (name: string) => boolean): string {
  let number = 0;
  while (isTaken(`${prefix}${number}`)) number++;
  return `${prefix}${number}`;
}

export function writeNetwork(lines: ConfigLines, domain: Domain): void {
  if (domain.lxcNamespace?.net) return;
  const { devices } = domain;
  if (hasHostNetwork(domain)) lines.set('lxc.net.0.type', 'none');
  const names = lxcCardNames(devices);
  let index = 0;
  for (const card of devices.interfaces) {
    const where = { element: 'interface', line: lineOf(card) };
    writeCard(lines, `lxc.net.${index}`, lxcCard(card, names[index]!), where);
    index++;
  }
  for (const hostdev of devices.hostdevs) {
    if (hostdev.type !== 'net') continue;
    const where = { element: 'hostdev', line: lineOf(hostdev) };
    const key = `lxc.net.${index++}`;
    lines.set(`${key}.type`, 'phys');
    lines.set(`${key}.link`, interfaceName(hostdev.source?.interface, where), where);
    lines.set(`${key}.flags`, 'up');
    writeAddresses(lines, key, addressesOf(hostdev, where), where);
  }
  if (index === 0 && domain.features.privnet) lines.set('lxc.net.0.type', 'empty');
}

/** A card as a boot makes it; one that joins a running container is made the same. */
export interface LxcCard extends Addresses {
  /** In the container. */
  readonly name: string;
  /** Bridge that its end on the host is on, or the card of the host that it is a part of. */
  readonly link?: string;
  /** How it is a part of that card; a card without has an end on the host. */
  readonly macvlan?: string;
  /** Name of its end on the host; liblxc makes one up when it is left out. */
  readonly pair?: string;
  /** Of its end on a bridge: what comes without a tag belongs to `untagged`; `none` drops it, left out it is the bridge's to say. */
  readonly vlan: { readonly untagged?: number | 'none'; readonly tagged: readonly number[] };
  readonly isUp: boolean;
  readonly mac?: string;
  /** Bytes; that of the bridge when left out. */
  readonly mtu?: number;
}

interface Addresses {
  /** With the bits of their network: `10.0.0.5/24`. */
  readonly addresses: readonly string[];
  /** Of the default routes. */
  readonly gateways: readonly string[];
}

/** Throws CONFIG_UNSUPPORTED, with the line, for what liblxc does not do. @param name that it gets in the container */
export function lxcCard(card: Interface, name: string): LxcCard {
  const where = { element: 'interface', line: lineOf(card) };
  const { mac, mtu, link } = card;
  return {
    name: interfaceName(name, where),
    ...(card.type === 'direct' ? partOf(card, where) : pairOf(card, where)),
    vlan: tagsOf(card, where),
    isUp: link?.state !== 'down',
    ...(mac && { mac: mac.address }),
    ...(mtu?.size && { mtu: mtu.size }),
    ...addressesOf(card, where),
  };
}

const macvlanModes: ReadonlyMap<string, string> = new Map([
  ['vepa', 'vepa'],
  ['bridge', 'bridge'],
  ['private', 'private'],
  ['passthrough', 'passthru'],
]);

function partOf({ source }: Interface, where: Where): Pick<LxcCard, 'link' | 'macvlan'> {
  const macvlan = macvlanModes.get(source?.mode ?? 'vepa') ?? refuse(`macvlan has no mode '${source?.mode}'`, where);
  return { link: interfaceName(source?.dev, where), macvlan };
}

function pairOf(card: Interface, where: Where): Pick<LxcCard, 'link' | 'pair'> {
  const bridge = bridgeOf(card, where);
  const pair = card.target?.dev;
  return {
    ...(bridge !== undefined && { link: interfaceName(bridge, where) }),
    ...(pair !== undefined && { pair: interfaceName(pair, where) }),
  };
}

/** A card of type `ethernet` is connected to nothing: its end on the host is for the user. */
function bridgeOf({ type, source }: Interface, where: Where): string | undefined {
  if (type === 'ethernet') return undefined;
  if (type !== 'bridge') refuse(`a container cannot have an <interface type='${type}'>`, where);
  return source?.bridge ?? refuse("an <interface type='bridge'> needs <source bridge>", where);
}

/** A trunk without a native tag drops what comes without one: it would be in the network of the bridge's own tag otherwise. */
function tagsOf({ vlan }: Interface, where: Where): LxcCard['vlan'] {
  const tags = vlan?.tags ?? [];
  const isNative = ({ nativeMode }: (typeof tags)[number]): boolean =>
    nativeMode !== undefined || (!vlan?.trunk && tags.length === 1);
  const [native, second] = tags.filter(isNative);
  if (second) refuse(`only one <tag> can be native: ${native!.id} or ${second.id}`, where);
  const untagged = native?.id ?? (tags.length > 0 ? 'none' : undefined);
  const tagged = tags.filter((tag) => tag !== native).map(({ id }) => id);
  return { ...(untagged !== undefined && { untagged }), tagged };
}

function writeCard(lines: ConfigLines, key: string, card: LxcCard, where: Where): void {
  const { link, macvlan, pair, vlan, mac, mtu } = card;
  lines.set(`${key}.type`, macvlan === undefined ? 'veth' : 'macvlan');
  if (link !== undefined) lines.set(`${key}.link`, link, where);
  if (macvlan !== undefined) lines.set(`${key}.macvlan.mode`, macvlan);
  if (pair !== undefined) lines.set(`${key}.veth.pair`, pair, where);
  if (vlan.untagged !== undefined) lines.set(`${key}.veth.vlan.id`, vlan.untagged);
  for (const id of vlan.tagged) lines.set(`${key}.veth.vlan.tagged.id`, id);
  if (card.isUp) lines.set(`${key}.flags`, 'up');
  lines.set(`${key}.name`, card.name, where);
  if (mac !== undefined) lines.set(`${key}.hwaddr`, mac, where);
  if (mtu !== undefined) lines.set(`${key}.mtu`, mtu, where);
  writeAddresses(lines, key, card, where);
}

/** The kernel's rules for names of network interfaces. */
function interfaceName(name: string | undefined, where: Where): string {
  if (name === undefined || !/^[^/:\s]{1,15}$/.test(name) || /^\.{1,2}$/.test(name))
    refuse(`'${name ?? ''}' is no name of a network interface: 1 to 15 characters, no blank, '/' or ':'`, where);
  return name;
}

function addressesOf(
  { ips, routes }: { ips: readonly GuestAddress[]; routes: readonly GuestRoute[] },
  where: Where,
): Addresses {
  const addresses = ips.map(({ address, prefix, peer }) => {
    if (peer !== undefined) refuse('liblxc sets no <ip peer>; remove it', where);
    if (!isAddress(address)) refuse(`'${address}' is no internet address`, where);
    return `${address}/${prefix ?? defaultPrefix(address)}`;
  });
  const gateways = routes.map((route) => {
    if (!isDefaultRoute(route) || route.gateway === undefined)
      refuse('liblxc sets the default route only: <route> must be to 0.0.0.0 or :: and name a gateway', where);
    if (route.metric !== undefined) refuse('liblxc sets no <route metric>; remove it', where);
    if (!isAddress(route.gateway)) refuse(`'${route.gateway}' is no internet address`, where);
    return route.gateway;
  });
  return { addresses, gateways };
}

function writeAddresses(lines: ConfigLines, key: string, { addresses, gateways }: Addresses, where: Where): void {
  const family = (address: string): string => (address.includes(':') ? 'ipv6' : 'ipv4');
  for (const address of addresses) lines.set(`${key}.${family(address)}.address`, address, where);
  for (const gateway of gateways) lines.set(`${key}.${family(gateway)}.gateway`, gateway, where);
}
