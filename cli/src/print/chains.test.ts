import { plain } from '../output';
import { printAudit, printChains, printUsers, printVerified } from './chains';

const layer = (index: number, path: string) =>
  ({ index, location: { type: 'file', path }, format: 'qcow2', formatKnown: 'recorded' }) as const;

test('a chain is a table from the active layer down; a disk that would not start says why', () => {
  const chain = { version: 1 as const, layers: [layer(0, '/a\u001b[2J'), layer(1, '/b')] };
  expect(printChains([{ target: 'vda', running: true, chain }], plain)).toBe(
    [
      'vda (running)',
      ' Layer   Format   Known      Image',
      '----------------------------------------',
      ' 0       qcow2    recorded   /a\\x1b[2J',
      ' 1       qcow2    recorded   /b',
      '',
    ].join('\n'),
  );
  const fault = { target: 'vdb', running: false, fault: 'no format' };
  expect(printChains([fault], plain)).toBe('vdb (at next start)\nwould not start: no format\n');
  expect(printChains([{ target: 'sda', running: false }], plain)).toContain('no medium');
});

test('what differs is told layer by layer', () => {
  const differences = [{ layer: 1, path: '/b', what: 'another image stands there now' }];
  expect(
    printVerified(
      [
        { target: 'vda', layers: 1, differences: [] },
        { target: 'vdb', layers: 2, differences },
      ],
      plain,
    ),
  ).toBe('vda: 1 layer, all as known\nvdb: differs\n  layer 1 /b: another image stands there now\n');
});

test('an audit names each host, its faults and what mends them', () => {
  const faults = [{ what: "disk vda of domain 'web1'", reason: 'no format', repair: 'virtbus chain repair /a' }];
  const silent = { host: 'h2', checked: 0, faults: [], reason: 'host offline' };
  expect(printAudit([{ host: 'h1', checked: 3, faults }, silent], plain)).toBe(
    "h1: 3 checked, 1 would not start\n  disk vda of domain 'web1': no format\n    repair: virtbus chain repair /a\nh2: host offline\n",
  );
});

test('users of an image are listed with what it is to them', () => {
  const user = { kind: 'domain', name: 'web1', host: 'h1', target: 'vda', layer: 2, running: true } as const;
  expect(printUsers([user], plain)).toContain('web1   h1     vda    layer 2   running');
  expect(printUsers([], plain)).toBe('nobody stands on it\n');
});
