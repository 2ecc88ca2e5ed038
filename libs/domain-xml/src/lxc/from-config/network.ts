/** Network cards: `lxc.net.N.*`. */
import type { Domain } from '../../elements/domain';
import type { GuestAddress, GuestRoute } from '../../elements/guest-address';
import type { Hostdev } from '../../elements/hostdev';
import type { Interface } from '../../elements/interface';
import { mac as macAddress } from '../../schema';
import { isAddress } from '../addresses';
import { at, type Reading } from './reading';
import type { Setting } from './settings';

/** One card: what was said of it, by the rest of the key. */
type Card = Map<string, Setting[]>;

export function readNetwork(reading: Reading, domain: Domain): void {
  const cards = cardsOf(reading);
  const { devices, features } = domain;
  // No word about a network means one of its own with nothing in it.
  if (cards.length === 0 && !domain.lxcNamespace?.net) features.privnet = true;
  for (const card of cards) {
    const type = card.get('type')?.at(-1);
    switch (type?.value) {
      case undefined:
      case 'none':
        break;
      case 'empty':
        features.privnet = true;
        break;
      case 'veth':
      case 'macvlan':
        devices.interfaces.push(at(type, virtualCard(reading, type, card)));
        break;
      case 'phys':
      case 'vlan': {
        const link = linkOf(reading, type, card);
        if (link !== undefined) devices.hostdevs.push(at(type, hostCard(reading, link, card)));
        break;
      }
      default:
        reading.refuse(
          type!,
          `network of type '${type!.value}' is not supported; it can be none, empty, veth, macvlan, phys or vlan`,
        );
    }
  }
}

function cardsOf(reading: Reading): Card[] {
  const cards: Card[] = [];
  for (const setting of reading.matching((key) => key.startsWith('lxc.net.'))) {
    const match = /^lxc\.net\.(\d{1,4})\.(.+)$/.exec(setting.key);
    if (!match) {
      reading.refuse(setting, 'expected lxc.net.NUMBER.SETTING');
      continue;
    }
    const card = (cards[Number(match[1])] ??= new Map<string, Setting[]>());
    const member = match[2] ?? '';
    card.set(member, [...(card.get(member) ?? []), setting]);
  }
  return cards.filter((card) => card !== undefined);
}

const said = (card: Card, member: string): Setting | undefined => card.get(member)?.at(-1);

function virtualCard(reading: Reading, type: Setting, card: Card): Interface {
  const link = said(card, 'link')?.value;
  const name = said(card, 'name')?.value;
  const pair = said(card, 'veth.pair')?.value;
  const mtu = said(card, 'mtu');
  const address = said(card, 'hwaddr');
  const size = mtu && reading.integer(mtu);
  const mac = address && macAddress.parse(address.value);
  if (address && mac === undefined) reading.refuse(address, `'${address.value}' is no MAC address`);
  return {
    ...(type.value === 'macvlan' ? direct(reading, type, card) : bridgeOrNone(link)),
    ...(mac !== undefined && { mac: { address: mac } }),
    ...(pair !== undefined && { target: { dev: pair } }),
    ...(name !== undefined && { guest: { dev: name } }),
    ...addressesOf(reading, card),
    portForwards: [],
    link: { state: said(card, 'flags')?.value === 'up' ? 'up' : 'down' },
    ...(size !== undefined && { mtu: { size } }),
  };
}

type Connection = Pick<Interface, 'type' | 'source'>;

const bridgeOrNone = (link: string | undefined): Connection =>
  link === undefined ? { type: 'ethernet' } : { type: 'bridge', source: { bridge: link, ips: [], routes: [] } };

const macvlanModes: ReadonlyMap<string, string> = new Map([
  ['private', 'private'],
  ['vepa', 'vepa'],
  ['bridge', 'bridge'],
  ['passthru', 'passthrough'],
]);

function direct(reading: Reading, type: Setting, card: Card): Connection {
  const given = said(card, 'macvlan.mode');
  const mode = macvlanModes.get(given?.value ?? 'private');
  if (given && mode === undefined) reading.refuse(given, `macvlan has no mode '${given.value}'`);
  const dev = linkOf(reading, type, card);
  return { type: 'direct', source: { dev, mode, ips: [], routes: [] } };
}

/** A card of the host moves into the container; a VLAN is a card that must have been made before, named as usual. */
function hostCard(reading: Reading, link: string, card: Card): Hostdev {
  const id = said(card, 'vlan.id')?.value;
  return {
    mode: 'capabilities',
    type: 'net',
    source: { interface: id === undefined ? link : `${link}.${id}`, hosts: [] },
    ...addressesOf(reading, card),
  };
}

function linkOf(reading: Reading, type: Setting, card: Card): string | undefined {
  return said(card, 'link')?.value ?? reading.refuse(type, `a network of type '${type.value}' needs a link`);
}

function addressesOf(reading: Reading, card: Card): { ips: GuestAddress[]; routes: GuestRoute[] } {
  const ips: GuestAddress[] = [];
  const routes: GuestRoute[] = [];
  for (const [family, anywhere, bits] of [
    ['ipv4', '0.0.0.0', 32],
    ['ipv6', '::', 128],
  ] as const) {
    for (const setting of card.get(`${family}.address`) ?? []) {
      // A broadcast address may follow.
      const [, address = '', prefix] = /^([^\s/]+)(?:\/(\d{1,3}))?(?:\s|$)/.exec(setting.value) ?? [];
      const size = prefix === undefined ? undefined : Number(prefix);
      if (!isAddress(address) || (size ?? 0) > bits) reading.refuse(setting, `'${setting.value}' is no address`);
      else ips.push({ address, family, ...(size !== undefined && { prefix: size }) });
    }
    const gateway = said(card, `${family}.gateway`);
    if (gateway && !isAddress(gateway.value)) reading.refuse(gateway, `'${gateway.value}' is no address`);
    else if (gateway) routes.push({ family, address: anywhere, gateway: gateway.value });
  }
  return { ips, routes };
}
