import { formatDomain, parseDomain } from '@virtbus/domain-xml';
import { makeLive, withNames } from './live';
import { placeOf } from './place';

const place = placeOf({ state: '/s', run: '/r/0123456789ab', log: '/l' });
const define = (devices: string) =>
  parseDomain(
    `<domain type='lxc'><name>c</name><memory>65536</memory><os><type>exe</type><init>/init</init></os>
    <devices>${devices}</devices></domain>`,
    { mode: 'inactive' },
  ).domain;
const card = (parts = '', type = 'ethernet'): string => `<interface type='${type}'>${parts}</interface>`;
const namesOf = ({ devices }: ReturnType<typeof define>) =>
  devices.interfaces.map(({ guest, target }) => [guest?.dev, target?.dev]);

test('each card has names inside and on the host, and its definition does not get them', () => {
  const definition = define(card() + card("<guest dev='lan'/>") + card("<source dev='eth9'/>", 'direct'));
  const before = formatDomain(definition, { view: 'inactive' });
  expect(namesOf(makeLive(definition, 1, place, undefined))).toEqual([
    ['eth0', 'veth456789ab0'],
    ['lan', 'veth456789ab1'],
    ['eth2', undefined],
  ]);
  expect(formatDomain(definition, { view: 'inactive' })).toBe(before);
});

test('a name on the host that a start has given is given anew, whatever its number; one that was asked for stays', () => {
  const asked = ['veth0badcafe1', 'veth0badcafe12', 'web0'];
  const definition = define(asked.map((dev) => card(`<target dev='${dev}'/>`)).join(''));
  const ends = namesOf(makeLive(definition, 1, place, undefined)).map(([, end]) => end);
  expect(ends).toEqual(['veth456789ab0', 'veth456789ab1', 'web0']);
});

test('cards that an earlier life left unnamed are called by their places', () => {
  const found = define(card() + card("<guest dev='lan'/>") + card());
  expect(namesOf(withNames(found)).map(([inside]) => inside)).toEqual(['eth0', 'lan', 'eth2']);
  expect(found.devices.interfaces[0]!.guest).toBeUndefined();
});
