/** Network cards that join and leave a running container are as those that it is booted with. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { attachDevice, defineDomain, destroyDomain, detachDevice, getDomainXml, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { needsContainers, Stack } from '@virtbus/testkit';
import { shownInside } from './lxc-command';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;
let uuid: string;

const [lower, other, bridge] = ['l', 'o', 'b'].map((kind) => `vc${kind}${process.pid % 100_000}`) as [
  string,
  string,
  string,
];

beforeAll(async () => {
  if (!containers.met) return;
  execFileSync('ip', ['link', 'add', lower, 'type', 'veth', 'peer', 'name', other]);
  execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
  // Otherwise it follows its ports.
  execFileSync('ip', ['link', 'set', 'dev', bridge, 'mtu', '1450']);
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterEach(async () => {
  if (containers.met) await call(bus, destroyDomain, {}, { target: uuid });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  for (const name of containers.met ? [lower, bridge] : []) execFileSync('ip', ['link', 'delete', name]);
});

const inside = (...words: string[]): Promise<string> => shownInside(bus, uuid, ...words);
const attach = async (xml: string): Promise<string> =>
  (await call(bus, attachDevice, { xml, affect: 'live' }, { target: uuid })).device!;
const detach = (xml: string) => call(bus, detachDevice, { xml, affect: 'live' }, { target: uuid });
const start = async (devices = ''): Promise<void> => {
  ({ uuid } = await stack.runContainer(bus, { name: `cards${Math.random().toString(36).slice(2, 8)}`, devices }));
};
const mac = (last: number): string => `52:54:00:00:79:0${last}`;
const direct = (last: number): string =>
  `<interface type='direct'><mac address='${mac(last)}'/><source dev='${lower}' mode='bridge'/></interface>`;
const bridged = (last: number, parts = ''): string =>
  `<interface type='bridge'><mac address='${mac(last)}'/><source bridge='${bridge}'/>${parts}</interface>`;
/** Names and addresses of the cards inside. */
const cards = async (): Promise<Record<string, string>> => {
  const told = await inside('sh', '-c', 'cd /sys/class/net; for c in eth*; do echo $c $(cat $c/address); done');
  return Object.fromEntries(
    told
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
};
const endOf = (device: string): string => /<target dev='([^']+)'/.exec(device)![1]!;

containers.test(
  'cards without a name are not confused when one of them leaves, and the next takes the first names that are free',
  async () => {
    await start([0, 1, 2].map(direct).join(''));
    await detach(direct(0));
    expect(await cards()).toEqual({ eth1: mac(1), eth2: mac(2) });
    await detach(direct(1));
    expect(await cards()).toEqual({ eth2: mac(2) });
    const device = await attach(bridged(3));
    expect(await cards()).toEqual({ eth0: mac(3), eth2: mac(2) });
    expect(endOf(device)).toMatch(/^veth[0-9a-f]{8}0$/);
    expect(endOf(await attach(bridged(4)))).toBe(endOf(device).replace(/0$/, '1'));
    expect(await cards()).toEqual({ eth0: mac(3), eth1: mac(4), eth2: mac(2) });
  },
  120_000,
);

containers.test(
  'names that a start gives are not in the definition, and those that are left over do not keep it from starting',
  async () => {
    await start(bridged(0) + direct(1));
    const xmlOf = async (inactive: boolean): Promise<string> =>
      (await call(bus, getDomainXml, { inactive }, { target: uuid })).xml;
    expect(await xmlOf(true)).not.toMatch(/<guest|veth/);
    const live = await xmlOf(false);
    expect(live.match(/<guest dev='eth\d'\/>/g)).toEqual(["<guest dev='eth0'/>", "<guest dev='eth1'/>"]);
    await call(bus, destroyDomain, {}, { target: uuid });
    await call(bus, defineDomain, { xml: live });
    await call(bus, startDomain, {}, { target: uuid });
    expect(await cards()).toEqual({ eth0: mac(0), eth1: mac(1) });
  },
  120_000,
);

containers.test(
  'of a container that runs since before cards had names in its document, each is found by its place',
  async () => {
    await start([0, 1].map(direct).join(''));
    await stack.restartDriver('c1', async () => {
      const path = stack.folder.file('state', 'hosts', 'c1', 'lxc', 'domains', uuid, 'live.xml');
      writeFileSync(path, readFileSync(path, 'utf8').replace(/<guest dev='eth\d'\/>/g, ''));
    });
    await detach(direct(1));
    expect(await cards()).toEqual({ eth0: mac(0) });
    await detach(direct(0));
    expect(await inside('ls', '/sys/class/net')).not.toContain('eth');
  },
  120_000,
);

containers.test(
  'a card that joins is configured as one that is there from the start',
  async () => {
    const parts = `<ip address='10.9.0.2' family='ipv4'/><ip address='fd00:9::2' family='ipv6'/>
      <route family='ipv4' address='0.0.0.0' gateway='10.9.0.1'/><route family='ipv6' address='::' gateway='fd00:9::1'/>`;
    const mtu = "<mtu size='1400'/>";
    const small = direct(1).replace('</interface>', `${mtu}</interface>`);
    /** What a card is, but for numbers of the kernel, and broadcasts, which liblxc makes up. */
    const told = async (): Promise<unknown> => ({
      addresses: await inside('ip', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'global').then(plain),
      routes: await Promise.all(['-4', '-6'].map((family) => inside('ip', family, 'route', 'show', 'default'))),
      sizes: await inside('sh', '-c', 'cat /sys/class/net/eth*/mtu'),
      outer: readFileSync(`/sys/class/net/${await end()}/mtu`, 'utf8'),
      high: readFileSync(`/sys/class/net/${await end()}/address`, 'utf8').slice(0, 2),
    });
    const plain = (text: string): string[] =>
      text.split('\n').map((line) =>
        line
          .replace(/^\d+: /, '')
          .replace(/ brd \S+/, '')
          // For as long as the kernel looks whether another has it.
          .replace(' tentative', '')
          .replace(/\s+/g, ' ')
          .trim(),
      );
    const end = async (): Promise<string> => endOf((await call(bus, getDomainXml, {}, { target: uuid })).xml);
    await start(bridged(0, parts) + small);
    const booted = await told();
    expect(booted).toMatchObject({
      addresses: [expect.stringContaining('10.9.0.2/8'), expect.stringContaining('fd00:9::2/64'), ''],
      sizes: '1450\n1400\n',
      outer: '1450\n',
      high: 'fe',
    });
    await call(bus, destroyDomain, {}, { target: uuid });
    await start();
    await attach(bridged(0, parts));
    await attach(small);
    const withoutFlag = JSON.stringify(await told()).replaceAll(' onlink', '');
    expect(withoutFlag).toBe(JSON.stringify(booted));
    await detach(bridged(0));
    await attach(bridged(0, mtu));
    expect(await told()).toMatchObject({ sizes: '1400\n1400\n', outer: '1400\n' });
  },
  120_000,
);

containers.test(
  'a route that no boot would set is refused, and so are tags where nobody keeps them apart; nothing is left of the card',
  async () => {
    await start();
    const route = "<route family='ipv4' address='10.1.0.0' prefix='16' gateway='10.9.0.1'/>";
    await expect(attach(bridged(0, route))).rejects.toThrow('the default route only');
    const tagged = attach(bridged(0, "<vlan><tag id='42'/></vlan>"));
    await expect(tagged).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' });
    await expect(tagged).rejects.toThrow(`ip link set dev ${bridge} type bridge vlan_filtering 1`);
    expect(await inside('ls', '/sys/class/net')).not.toContain('eth');
    expect(execFileSync('ls', [`/sys/class/net/${bridge}/brif`], { encoding: 'utf8' })).toBe('');
  },
  120_000,
);
