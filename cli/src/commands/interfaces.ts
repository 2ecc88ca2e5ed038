/** Network interfaces: what there are, adding, removing, plugging the cable. */
import { affectOf, affectOptions, persistently } from '../affect';
import { element, formatElement, interfaces, type InterfaceDevice } from '../device-xml';
import { printInterfaces } from '../print/devices';
import { argument, command, domain, example, flag, optional, UsageError, value } from '../spec';
import { definitionFor, isActive } from '../target-document';
import { fail } from '../failure';

export const domiflist = command({
  name: 'domiflist',
  group: 'monitor',
  summary: "List a domain's network interfaces",
  args: { domain },
  options: { inactive: flag('those of the definition') },
  examples: [example('domiflist web1', 'names, models, MAC addresses')],
  async run({ args, options, session, out }) {
    const { xml = '' } = await session.call('getDomainXml', { inactive: options.inactive }, args.domain);
    const found = interfaces(xml);
    const told = found.map(({ type, mac, target, source, model }) => ({
      type,
      mac,
      target: target ?? null,
      source: source ?? null,
      model: model ?? null,
    }));
    out.show(told, () => printInterfaces(found, out.paint));
  },
});

/** Which attribute of `<source>` names the source, by type of interface. */
const sourceAttribute: Record<string, string | undefined> = {
  network: 'network',
  bridge: 'bridge',
  direct: 'dev',
  ethernet: undefined,
  user: undefined,
};

export function interfaceXml(
  type: string,
  source: string | undefined,
  options: {
    mac?: string | undefined;
    model?: string | undefined;
    target?: string | undefined;
    script?: string | undefined;
  },
): string {
  if (!(type in sourceAttribute)) {
    throw new UsageError(`<type>: '${type}' is none of ${Object.keys(sourceAttribute).join(', ')}`);
  }
  const attribute = sourceAttribute[type];
  if (attribute && !source) throw new UsageError(`an interface of type ${type} needs a source`);
  if (!attribute && source) throw new UsageError(`an interface of type ${type} takes no source`);
  const { mac, model, target, script } = options;
  return formatElement(
    element(
      'interface',
      { type },
      mac ? element('mac', { address: mac }) : undefined,
      attribute ? element('source', { [attribute]: source }) : undefined,
      script ? element('script', { path: script }) : undefined,
      target ? element('target', { dev: target }) : undefined,
      model ? element('model', { type: model }) : undefined,
    ),
  );
}

export const attachInterface = command({
  name: 'attach-interface',
  group: 'device',
  summary: 'Add a network interface',
  args: {
    domain,
    type: argument('network, bridge, direct, ethernet or user', ['network', 'bridge', 'direct', 'ethernet', 'user']),
    source: optional('the network, bridge or device; none for user and ethernet'),
  },
  options: {
    mac: value('ADDRESS', 'made up when left out'),
    model: value('MODEL', 'virtio, e1000, …'),
    target: value('NAME', 'its name on the host'),
    script: value('PATH', 'script that sets it up on the host'),
    printXml: flag('print the element and do nothing'),
    ...persistently,
  },
  gives: 'attachDevice',
  queue: true,
  examples: [
    example('attach-interface web1 bridge br0 --model virtio --persistent', 'now and later'),
    example('attach-interface web1 user', 'behind NAT, with no rights needed'),
  ],
  async run({ args, options, session, out }) {
    const xml = interfaceXml(args.type, args.source, options);
    if (options.printXml) return out.show({ xml }, () => xml);
    const affect = await affectOf(options, () => isActive(session, args.domain));
    await session.give('attachDevice', { xml, affect }, args.domain, () => 'Interface attached successfully');
  },
});

export const detachInterface = command({
  name: 'detach-interface',
  group: 'device',
  summary: 'Remove a network interface',
  args: { domain, type: argument('its type: bridge, user, …') },
  options: {
    mac: value('ADDRESS', 'which one, when there are several of the type'),
    printXml: flag('print the element and do nothing'),
    ...persistently,
  },
  gives: 'detachDevice',
  queue: true,
  examples: [example('detach-interface web1 bridge --mac 52:54:00:12:34:56 --persistent', 'now and for good')],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, () => isActive(session, args.domain));
    const all = interfaces(await definitionFor(session, args.domain, affect)).filter(({ type }) => type === args.type);
    const found = pick(all, options.mac, `domain '${args.domain}' has no interface of type ${args.type}`);
    const xml = formatElement(found.element);
    if (options.printXml) return out.show({ xml }, () => xml);
    await session.give('detachDevice', { xml, affect }, args.domain, () => 'Interface detached successfully');
  },
});

export const domifSetlink = command({
  name: 'domif-setlink',
  group: 'device',
  summary: 'Plug or pull the cable of a network interface',
  args: {
    domain,
    interface: argument('its name on the host (vnet0), or its MAC address'),
    state: argument('up or down', ['up', 'down']),
  },
  options: { printXml: flag('print the element and do nothing'), ...affectOptions },
  gives: 'updateDevice',
  queue: true,
  examples: [example('domif-setlink web1 52:54:00:12:34:56 down', 'the guest sees its cable pulled')],
  async run({ args, options, session, out }) {
    if (args.state !== 'up' && args.state !== 'down')
      throw new UsageError(`<state>: '${args.state}' is neither up nor down`);
    const affect = await affectOf(options, async () => false);
    const found = interfaces(await definitionFor(session, args.domain, affect)).find(
      ({ mac, target }) => target === args.interface || mac.toLowerCase() === args.interface.toLowerCase(),
    );
    if (!found) throw missing(`domain '${args.domain}' has no interface '${args.interface}'`);
    const { name, attributes, children } = found.element;
    const kept = children.filter((each) => each.name !== 'link');
    const xml = formatElement({ name, attributes, children: [...kept, element('link', { state: args.state })] });
    if (options.printXml) return out.show({ xml }, () => xml);
    await session.give('updateDevice', { xml, affect }, args.domain, () => 'Device updated successfully');
  },
});

/** The one of the MAC address, or the only one. */
function pick(all: readonly InterfaceDevice[], mac: string | undefined, none: string): InterfaceDevice {
  const found = mac ? all.filter((each) => each.mac.toLowerCase() === mac.toLowerCase()) : all;
  if (found.length === 0) throw missing(mac ? `${none} with MAC address ${mac}` : none);
  if (found.length > 1) {
    throw new UsageError(
      `there are ${found.length} of them: name one with --mac (${found.map((each) => each.mac).join(', ')})`,
    );
  }
  return found[0]!;
}

const missing = (detail: string): Error => fail('DEVICE_MISSING', { detail });
