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
    lines.set(`lxc.namespace.share.${kind}`, ownerOf(share, facts, where), where);
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

export function writeNetwork(lines: ConfigLines, domain: Domain): void {
  if (domain.lxcNamespace?.net) return;
  const { devices } = domain;
  if (hasHostNetwork(domain)) lines.set('lxc.net.0.type', 'none');
  let index = 0;
  for (const card of devices.interfaces) writeCard(lines, index++, card);
  for (const hostdev of devices.hostdevs) {
    if (hostdev.type !== 'net') continue;
    const where = { element: 'hostdev', line: lineOf(hostdev) };
    const key = `lxc.net.${index++}`;
    lines.set(`${key}.type`, 'phys');
    lines.set(`${key}.link`, interfaceName(hostdev.source?.interface, where), where);
    lines.set(`${key}.flags`, 'up');
    writeAddresses(lines, key, hostdev, where);
  }
  if (index === 0 && domain.features.privnet) lines.set('lxc.net.0.type', 'empty');
}

const macvlanModes: ReadonlyMap<string, string> = new Map([
  ['vepa', 'vepa'],
  ['bridge', 'bridge'],
  ['private', 'private'],
  ['passthrough', 'passthru'],
]);

function writeCard(lines: ConfigLines, index: number, card: Interface): void {
  const where = { element: 'interface', line: lineOf(card) };
  const key = `lxc.net.${index}`;
  const { source, target, guest, mac, mtu, link } = card;
  if (card.type === 'direct') {
    lines.set(`${key}.type`, 'macvlan');
    lines.set(`${key}.link`, interfaceName(source?.dev, where), where);
    const mode = macvlanModes.get(source?.mode ?? 'vepa');
    lines.set(`${key}.macvlan.mode`, mode ?? refuse(`macvlan has no mode '${source?.mode}'`, where));
  } else {
    lines.set(`${key}.type`, 'veth');
    const bridge = bridgeOf(card, where);
    if (bridge !== undefined) lines.set(`${key}.link`, interfaceName(bridge, where), where);
    if (target?.dev !== undefined) lines.set(`${key}.veth.pair`, interfaceName(target.dev, where), where);
    writeVlan(lines, key, card);
  }
  if (link?.state !== 'down') lines.set(`${key}.flags`, 'up');
  lines.set(`${key}.name`, interfaceName(guest?.dev ?? `eth${index}`, where), where);
  if (mac) lines.set(`${key}.hwaddr`, mac.address, where);
  if (mtu?.size) lines.set(`${key}.mtu`, mtu.size, where);
  writeAddresses(lines, key, card, where);
}

/** A card of type `ethernet` is connected to nothing: its end on the host is for the user. */
function bridgeOf({ type, source }: Interface, where: Where): string | undefined {
  if (type === 'ethernet') return undefined;
  if (type !== 'bridge') refuse(`a container cannot have an <interface type='${type}'>`, where);
  return source?.bridge ?? refuse("an <interface type='bridge'> needs <source bridge>", where);
}

function writeVlan(lines: ConfigLines, key: string, { vlan }: Interface): void {
  for (const { id, nativeMode } of vlan?.tags ?? []) {
    const isNative = nativeMode !== undefined || (!vlan?.trunk && vlan?.tags.length === 1);
    lines.set(`${key}.veth.vlan.${isNative ? 'id' : 'tagged.id'}`, id);
  }
}

/** The kernel's rules for names of network interfaces. */
function interfaceName(name: string | undefined, where: Where): string {
  if (name === undefined || !/^[^/:\s]{1,15}$/.test(name) || /^\.{1,2}$/.test(name))
    refuse(`'${name ?? ''}' is no name of a network interface: 1 to 15 characters, no blank, '/' or ':'`, where);
  return name;
}

function writeAddresses(
  lines: ConfigLines,
  key: string,
  { ips, routes }: { ips: readonly GuestAddress[]; routes: readonly GuestRoute[] },
  where: Where,
): void {
  for (const { address, prefix } of ips) {
    if (!isAddress(address)) refuse(`'${address}' is no internet address`, where);
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    lines.set(`${key}.${family}.address`, `${address}/${prefix ?? defaultPrefix(address)}`, where);
  }
  for (const route of routes) {
    if (!isDefaultRoute(route) || route.gateway === undefined)
      refuse('liblxc sets the default route only: <route> must be to 0.0.0.0 or :: and name a gateway', where);
    if (!isAddress(route.gateway)) refuse(`'${route.gateway}' is no internet address`, where);
    lines.set(`${key}.${route.gateway.includes(':') ? 'ipv6' : 'ipv4'}.gateway`, route.gateway, where);
  }
}
