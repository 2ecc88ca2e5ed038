/** Network cards: `lxc.net.N.*`. */
import type { Domain } from '../../elements/domain';
import type { GuestAddress, GuestRoute } from '../../elements/guest-address';
import type { Hostdev } from '../../elements/hostdev';
import type { Interface } from '../../elements/interface';
import { mac as macAddress } from '../../schema';
import { isAddress } from '../addresses';
import { at, type Reading } from './reading';
import type { Setting } from './settings';

export function readNetwork(reading: Reading, domain: Domain): void {
  const cards = cardsOf(reading);
  const { devices, features } = domain;
  // No word about a network means one of its own with nothing in it.
  if (cards.length === 0 && !domain.lxcNamespace?.net) features.privnet = true;
  for (const card of cards) {
    const type = card.last('type');
    switch (type?.value) {
      case undefined:
      case 'none':
        break;
      case 'empty':
        features.privnet = true;
        break;
      case 'veth':
      case 'macvlan':
        devices.interfaces.push(at(type, virtualCard(card, type)));
        break;
      case 'phys':
      case 'vlan': {
        const found = hostCard(card, type);
        if (found) devices.hostdevs.push(at(type, found));
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

/** One card: what was said of it, by the rest of the key. Asking for a member is what makes it read. */
class Card {
  readonly #members = new Map<string, Setting[]>();

  constructor(readonly reading: Reading) {}

  add(member: string, setting: Setting): void {
    this.#members.set(member, [...(this.#members.get(member) ?? []), setting]);
  }

  all(member: string): Setting[] {
    const found = this.#members.get(member) ?? [];
    for (const setting of found) this.reading.use(setting);
    return found.slice(found.findLastIndex(({ value }) => value === '') + 1);
  }

  last(member: string): Setting | undefined {
    return this.all(member).at(-1);
  }

  number(member: string): number | undefined {
    const setting = this.last(member);
    return setting && this.reading.integer(setting);
  }
}

function cardsOf(reading: Reading): Card[] {
  const cards = new Map<number, Card>();
  for (const setting of reading.settings) {
    if (!setting.key.startsWith('lxc.net.')) continue;
    const [, number, member = ''] = /^lxc\.net\.(\d{1,9})\.(.+)$/.exec(setting.key) ?? [];
    if (number === undefined) {
      reading.refuse(setting, 'expected lxc.net.NUMBER.SETTING');
      continue;
    }
    const card = cards.get(Number(number)) ?? new Card(reading);
    cards.set(Number(number), card);
    card.add(member, setting);
  }
  return [...cards].sort(([a], [b]) => a - b).map(([, card]) => card);
}

function virtualCard(card: Card, type: Setting): Interface {
  const { reading } = card;
  const address = card.last('hwaddr');
  const mac = address && macAddress.parse(address.value);
  if (address && mac === undefined) reading.refuse(address, `'${address.value}' is no MAC address`);
  const name = card.last('name')?.value;
  const size = card.number('mtu');
  return {
    ...(type.value === 'macvlan' ? direct(card, type) : onBridge(card)),
    ...(mac !== undefined && { mac: { address: mac } }),
    ...(name !== undefined && { guest: { dev: name } }),
    ...addressesOf(card),
    portForwards: [],
    link: { state: card.last('flags')?.value === 'up' ? 'up' : 'down' },
    ...(size !== undefined && { mtu: { size } }),
  };
}

type Connection = Pick<Interface, 'type' | 'source' | 'target' | 'vlan'>;

function onBridge(card: Card): Connection {
  const link = card.last('link')?.value;
  const pair = card.last('veth.pair')?.value;
  const tags = tagsOf(card);
  return {
    ...(link === undefined ? { type: 'ethernet' } : { type: 'bridge', source: { bridge: link, ips: [], routes: [] } }),
    ...(pair !== undefined && { target: { dev: pair } }),
    ...(tags && { vlan: tags }),
  };
}

/** One tag that the container does not see, or a trunk of those that it does. */
function tagsOf(card: Card): Interface['vlan'] {
  const seen = card.all('veth.vlan.tagged.id').flatMap((setting) => card.reading.integer(setting) ?? []);
  // A trunk without a native tag drops what has none by itself.
  const isBare = seen.length > 0 && card.last('veth.vlan.id')?.value === 'none';
  const own = isBare ? undefined : card.number('veth.vlan.id');
  if (seen.length === 0) return own === undefined ? undefined : { tags: [{ id: own }] };
  const native = own === undefined ? [] : [{ id: own, nativeMode: 'untagged' as const }];
  return { trunk: true, tags: [...native, ...seen.map((id) => ({ id }))] };
}

const macvlanModes: ReadonlyMap<string, string> = new Map([
  ['private', 'private'],
  ['vepa', 'vepa'],
  ['bridge', 'bridge'],
  ['passthru', 'passthrough'],
]);

function direct(card: Card, type: Setting): Connection {
  const given = card.last('macvlan.mode');
  const mode = macvlanModes.get(given?.value ?? 'private');
  if (given && mode === undefined) card.reading.refuse(given, `macvlan has no mode '${given.value}'`);
  return { type: 'direct', source: { dev: linkOf(card, type), mode, ips: [], routes: [] } };
}

/** A card of the host moves into the container; a VLAN is a card that must have been made before, named as usual. */
function hostCard(card: Card, type: Setting): Hostdev | undefined {
  const link = linkOf(card, type);
  const id = type.value === 'vlan' ? card.number('vlan.id') : undefined;
  card.all('flags'); // it is always brought up
  if (link === undefined) return undefined;
  return {
    mode: 'capabilities',
    type: 'net',
    source: { interface: id === undefined ? link : `${link}.${id}`, hosts: [] },
    ...addressesOf(card),
  };
}

function linkOf(card: Card, type: Setting): string | undefined {
  return card.last('link')?.value ?? card.reading.refuse(type, `a network of type '${type.value}' needs a link`);
}

function addressesOf(card: Card): { ips: GuestAddress[]; routes: GuestRoute[] } {
  const { reading } = card;
  const ips: GuestAddress[] = [];
  const routes: GuestRoute[] = [];
  for (const [family, anywhere, bits] of [
    ['ipv4', '0.0.0.0', 32],
    ['ipv6', '::', 128],
  ] as const) {
    for (const setting of card.all(`${family}.address`)) {
      // A broadcast address may follow.
      const [, address = '', prefix] = /^([^\s/]+)(?:\/(\d{1,3}))?(?:\s|$)/.exec(setting.value) ?? [];
      const size = prefix === undefined ? undefined : Number(prefix);
      if (!isAddress(address) || (size ?? 0) > bits) reading.refuse(setting, `'${setting.value}' is no address`);
      else ips.push({ address, family, ...(size !== undefined && { prefix: size }) });
    }
    const gateway = card.last(`${family}.gateway`);
    if (gateway && !isAddress(gateway.value)) reading.refuse(gateway, `'${gateway.value}' is no address`);
    else if (gateway) routes.push({ family, address: anywhere, gateway: gateway.value });
  }
  return { ips, routes };
}
