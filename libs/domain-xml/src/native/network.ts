/** Network cards with their backends: `-netdev` and `-device`, `-nic`, `-net`. */
import { peek, type Attempt, type DeviceSketch, type Draft } from './draft';
import type { NativeOption } from './invocation';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import { Values } from './values';
import { optional, virtioDriver, virtioName } from './virtio';

type Card = DeviceSketch<'interfaces'>;

const models = new Set(
  `virtio-net e1000 e1000e e1000-82544gc e1000-82545em igb rtl8139 vmxnet3 ne2k_pci pcnet i82551 i82557b i82559er usb-net
  spapr-vlan tulip`.split(/\s+/),
);

export function readNetworks(draft: Draft, places: Places): void {
  for (const option of draft.open('-device')) {
    const driver = peek(option, 'driver') ?? '';
    if (models.has(virtioName(driver).name))
      draft.understand(option, (attempt, values) => cardOf(draft, places, attempt, values, driver));
  }
  for (const option of draft.open('-nic')) draft.understand(option, (_, values) => nicOf(draft, values));
  readOldStyle(draft);
  const { line } = draft;
  const said = line.options.some(({ flag }) => ['-net', '-netdev', '-nic'].includes(flag)) || hasCard(draft);
  if (!said && !draft.isBare) draft.add('interfaces', { type: 'user', model: { type: defaultModel(draft) } });
}

const hasCard = ({ domain }: Draft): boolean => (domain.devices.interfaces ?? []).length > 0;

/** The card that a machine has when nobody says anything (QEMU 7.2, `default_nic`). */
const defaultModel = ({ domain }: Draft): string => {
  const machine = domain.os?.type?.machine ?? 'pc';
  return /q35/.test(machine) ? 'e1000e' : /^pc/.test(machine) ? 'e1000' : 'virtio';
};

function cardOf(draft: Draft, places: Places, attempt: Attempt, values: Values, driver: string): () => void {
  values.take('driver');
  values.take('id');
  const { name, model } = virtioName(driver);
  const backend = attempt.backend('-netdev', values.take('netdev') ?? '');
  const isVirtio = name === 'virtio-net';
  const card: Card = { ...backendOf(backend, isVirtio), model: { type: isVirtio ? (model ?? 'virtio') : name } };
  Object.assign(card, name === 'usb-net' ? places.usb(values) : places.address(values));
  readFrontend(card, values);
  return () => draft.add('interfaces', card);
}

function readFrontend(card: Card, values: Values): void {
  const mac = values.take('mac', 'macaddr');
  const order = values.takeNumber('bootindex');
  const mtu = values.takeNumber('host_mtu');
  const romFile = values.take('romfile');
  const romBar = values.take('rombar');
  const queues = card.driver?.queues ?? 1;
  if (queues > 1) for (const implied of ['mq', 'vectors']) values.take(implied);
  const driver = {
    ...card.driver,
    ...optional('ioeventfd', values.takeFlag('ioeventfd')),
    ...optional('event_idx', values.takeFlag('event_idx')),
    ...optional('rx_queue_size', values.takeNumber('rx_queue_size')),
    ...optional('tx_queue_size', values.takeNumber('tx_queue_size')),
    ...virtioDriver(values).driver,
  };
  Object.assign(card, {
    ...(mac !== undefined && { mac: { address: mac } }),
    ...(order !== undefined && { boot: { order } }),
    ...(mtu !== undefined && { mtu: { size: mtu } }),
    ...((romFile ?? romBar) !== undefined && {
      rom:
        romFile === ''
          ? { enabled: false }
          : { ...optional('file', romFile), ...(romBar !== undefined && { bar: romBar !== '0' && romBar !== 'off' }) },
    }),
    ...(Object.keys(driver).length > 0 && { driver }),
  } satisfies Partial<Card>);
}

/** Names that a host gives to taps it makes itself: not a choice of the one who wrote the line. */
const givenTap = /^vnet\d+$/;

/** Where the card's packets go; the backend's own keys that a document cannot say are left for the attempt to refuse. */
function backendOf(values: Values, isVirtio: boolean): Card {
  const kind = values.take('type');
  switch (kind) {
    case 'user':
      return { type: 'user' };
    case 'bridge':
      return { type: 'bridge', source: { bridge: values.take('br') ?? 'br0' } };
    case 'tap':
      return tapOf(values, isVirtio);
    case 'socket':
      return socketOf(values);
    default:
      throw new NotUnderstood(`network backend '${kind}' has no place in a document`);
  }
}

function tapOf(values: Values, isVirtio: boolean): Card {
  const bridge = values.take('br');
  const dev = values.take('ifname');
  const script = values.take('script');
  const down = values.take('downscript');
  const vhost = values.takeFlag('vhost');
  const queues = values.takeNumber('queues');
  const driver = {
    ...(vhost !== undefined && isVirtio && { name: vhost ? 'vhost' : 'qemu' }),
    ...optional('queues', queues),
  };
  const isPath = (path: string | undefined): path is string => path !== undefined && path !== '' && path !== 'no';
  const more: Card = { ...(Object.keys(driver).length > 0 && { driver }) };
  if (bridge !== undefined) return { ...more, type: 'bridge', source: { bridge } };
  // A tap that no script is to configure exists already; one that a host has named it makes anew.
  const exists = dev !== undefined && !givenTap.test(dev) && script === 'no';
  return {
    ...more,
    type: 'ethernet',
    ...(isPath(script) && { script: { path: script } }),
    ...(isPath(down) && { downscript: { path: down } }),
    ...(dev !== undefined && !givenTap.test(dev) && { target: { dev, ...(exists && { managed: false }) } }),
  };
}

function socketOf(values: Values): Card {
  for (const [key, type] of [
    ['connect', 'client'],
    ['listen', 'server'],
    ['mcast', 'mcast'],
    ['udp', 'udp'],
  ] as const) {
    const at = values.take(key);
    if (at === undefined) continue;
    const source = { ...endpoint(at), ...(type === 'udp' && { local: endpoint(values.take('localaddr') ?? '') }) };
    return { type, source };
  }
  throw new NotUnderstood('a socket that neither listens nor connects');
}

function endpoint(text: string): { address?: string; port: number } {
  const match = /^(.*):(\d+)$/.exec(text);
  if (!match) throw new NotUnderstood(`'${text}' is no address with a port`);
  return { ...optional('address', match[1] || undefined), port: Number(match[2]) };
}

const cardModel = (values: Values, draft: Draft): string => {
  const { name } = virtioName(values.take('model') ?? defaultModel(draft));
  return name === 'virtio-net' ? 'virtio' : name;
};

function nicOf(draft: Draft, values: Values): () => void {
  if (values.peek('type') === 'none') {
    values.take('type');
    return () => undefined;
  }
  values.take('id');
  const model = cardModel(values, draft);
  const card: Card = { ...backendOf(values, model === 'virtio'), model: { type: model } };
  readFrontend(card, values);
  return () => draft.add('interfaces', card);
}

/** `-net nic` and `-net user` meet on one hub; one of each is a card with its backend. */
function readOldStyle(draft: Draft): void {
  const all = draft.open('-net');
  const of = (wanted: (type: string) => boolean): NativeOption[] =>
    all.filter((one) => wanted(peek(one, 'type') ?? ''));
  const cards = of((type) => type === 'nic');
  const backends = of((type) => type !== 'nic' && type !== 'none');
  const nobody = of((type) => type === 'none');
  for (const option of nobody) option.state = 'read';
  if (cards.length + backends.length === 0) return;
  if (cards.length > 1 || backends.length > 1) {
    for (const option of all) option.why = 'several cards share one hub';
    return;
  }
  const [card] = cards;
  const [backend] = backends;
  draft.understand(card ?? backend!, (attempt, first) => {
    const nic = card ? first : Values.read('');
    const net = !backend ? Values.read('user', 'type') : card ? attempt.read(backend) : first;
    if (card) nic.take('type');
    for (const values of [nic, net]) for (const name of ['name', 'id', 'netdev', 'vlan']) values.take(name);
    const model = cardModel(nic, draft);
    const made: Card = { ...backendOf(net, model === 'virtio'), model: { type: model } };
    readFrontend(made, nic);
    return () => draft.add('interfaces', made);
  });
}
