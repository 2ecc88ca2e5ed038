/**
 * Network cards of a container that runs: made, moved into it and taken away with the host's `ip` and `bridge` (iproute2), as liblxc
 * makes those that a container is booted with.
 */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { lxcCard, type Interface, type LxcCard } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { output } from './programs';

/**
 * Throws `SYSTEM_ERROR` with ip's words, `CONFIG_UNSUPPORTED` for what liblxc does not do either, or not on this bridge; nothing is
 * left then. @param pid of the container's init
 */
export async function plugLink(pid: number, card: Interface): Promise<void> {
  const made = lxcCard(card, card.guest!.dev!);
  const tags = tagging(made);
  // What is in the way is not ours to take away.
  await (made.macvlan === undefined ? addPair(pid, made) : addPart(pid, made));
  try {
    if (made.macvlan === undefined) await connect(made, tags);
    for (const address of made.addresses) await inNetwork(pid, ...addressWords(address), 'dev', made.name);
    if (made.isUp) await inNetwork(pid, 'link', 'set', 'dev', made.name, 'up');
    for (const gateway of made.gateways) await inNetwork(pid, ...routeWords(gateway), 'dev', made.name, 'onlink');
  } catch (error) {
    await unplugLink(pid, card).catch(() => undefined);
    throw error;
  }
}

async function addPair(pid: number, { name, link, pair, mac, mtu = mtuOf(link) }: LxcCard): Promise<void> {
  const size = mtu === undefined ? [] : ['mtu', String(mtu)];
  const outer = mac === undefined ? [] : ['address', outerAddress(mac)];
  const inner = mac === undefined ? [] : ['address', mac];
  const peer = ['peer', 'name', name, ...size, ...inner, 'netns', String(pid)];
  await ip('link', 'add', 'name', pair!, ...size, ...outer, 'type', 'veth', ...peer);
}

async function addPart(pid: number, { name, link, macvlan, mac, mtu }: LxcCard): Promise<void> {
  const size = mtu === undefined ? [] : ['mtu', String(mtu)];
  const address = mac === undefined ? [] : ['address', mac];
  const words = ['name', name, ...size, ...address, 'netns', String(pid), 'type', 'macvlan', 'mode', macvlan!];
  await ip('link', 'add', 'link', link!, ...words);
}

async function connect({ link, pair }: LxcCard, tags: readonly string[][]): Promise<void> {
  if (link !== undefined) await ip('link', 'set', 'dev', pair!, 'master', link);
  for (const words of tags) await output('bridge', ['vlan', ...words]);
  await ip('link', 'set', 'dev', pair!, 'up');
}

/** What sets the tags of the end on the bridge; nothing for a card without. */
function tagging({ link, pair, vlan }: LxcCard): string[][] {
  if (vlan.untagged === undefined && vlan.tagged.length === 0) return [];
  if (bridgeSetting(link!, 'vlan_filtering') !== '1') {
    const detail = `<vlan> needs a bridge that keeps tags apart, and '${link}' does not; run: ip link set dev ${link} type bridge vlan_filtering 1`;
    throw new VirtError('CONFIG_UNSUPPORTED', { detail });
  }
  return tagWords(pair!, vlan, Number(bridgeSetting(link!, 'default_pvid')));
}

/**
 * Arguments of `bridge vlan`: the bridge's own tag goes where another is asked for, or none.
 * @param own that the bridge has given the port; 0 where it gives none
 */
export function tagWords(port: string, { untagged, tagged }: LxcCard['vlan'], own: number): string[][] {
  const words = (how: 'add' | 'del', id: number, ...flags: string[]): string[] => [
    how,
    'dev',
    port,
    'vid',
    String(id),
    ...flags,
  ];
  return [
    ...(untagged === undefined || untagged === own || own === 0 ? [] : [words('del', own)]),
    ...(typeof untagged === 'number' ? [words('add', untagged, 'pvid', 'untagged')] : []),
    ...tagged.map((id) => words('add', id)),
  ];
}

/** The end on the host of a card whose other end has this address: high, so that its bridge does not take it for its own. */
const outerAddress = (mac: string): string => `fe${mac.slice(2)}`;

const addressWords = (address: string): string[] => [
  'address',
  'add',
  address,
  ...(address.includes(':') ? [] : ['broadcast', '+']),
];

const routeWords = (gateway: string): string[] => [
  gateway.includes(':') ? '-6' : '-4',
  'route',
  'add',
  'default',
  'via',
  gateway,
];

function mtuOf(link: string | undefined): number | undefined {
  const text = link === undefined ? undefined : settingOf(link, 'mtu');
  return text === undefined ? undefined : Number(text);
}

const bridgeSetting = (bridge: string, name: string): string | undefined => settingOf(bridge, `bridge/${name}`);

/** Of a network device of the host; undefined when it has none of that name. */
function settingOf(device: string, name: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${device}/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Does nothing for a card that is gone. */
export async function unplugLink(pid: number, card: Interface): Promise<void> {
  if (!(await isLinked(pid, card))) return;
  if (card.type === 'direct') await inNetwork(pid, 'link', 'delete', 'dev', card.guest!.dev!);
  else await ip('link', 'delete', 'dev', card.target!.dev!);
}

/** There is a network device of its name: on the host, or inside for one that has no end there. */
export async function isLinked(pid: number, card: Interface): Promise<boolean> {
  return card.type === 'direct' ? isInside(pid, card) : isOnHost(card.target!.dev!);
}

/** The container has a network device of its name. */
export async function isInside(pid: number, card: Interface): Promise<boolean> {
  return inNetwork(pid, 'link', 'show', 'dev', card.guest!.dev!).then(
    () => true,
    () => false,
  );
}

export const isOnHost = (name: string): boolean => existsSync(`/sys/class/net/${name}`);

/** How long the kernel may take over a network that nobody is in any more, and how often we look, milliseconds. */
const goneMs = 5_000;
const lookMs = 50;

/**
 * Resolves when the name of its end on the host is free, or will not be: the network of the former boot goes some time after its
 * processes, and never while somebody else holds it. An end that is recognised as this card's is taken away, as liblxc does.
 */
export async function freeEnd(card: Interface): Promise<void> {
  const end = card.target?.dev;
  if (card.type === 'direct' || end === undefined) return;
  if (card.mac && settingOf(end, 'address') === outerAddress(card.mac.address)) {
    // The kernel may be faster.
    await ip('link', 'delete', 'dev', end).catch(() => undefined);
  }
  for (let waited = 0; isOnHost(end) && waited < goneMs; waited += lookMs) await delay(lookMs);
}

const inNetwork = (pid: number, ...args: string[]): Promise<string> =>
  output('nsenter', ['-t', String(pid), '-n', 'ip', ...args]);
const ip = (...args: string[]): Promise<string> => output('ip', args);
