import type { DomainStats, DomainSummary, Migration, MigrationProgress } from '@virtbus/shared';
import type { Paint } from '../output';
import { isolatedNames, printDomains, printInfo, printState } from './domains';
import { printEvent } from './events';
import { printJob, progressLine } from './job';
import { migrationLine } from './migrations';
import { printCpuCounts, printStats } from './stats';
import { safe, table, width } from './table';

const web1: DomainSummary = {
  uuid: '0b9a3b4e-5d2c-4f2a-9d3e-1a2b3c4d5e6f',
  name: 'web1',
  host: 'h1',
  driver: 'qemu',
  epoch: 1,
  revision: 4,
  id: 7,
  state: 'running',
  reason: 'booted',
  persistent: true,
  updated: false,
  autostart: false,
  managedSave: false,
  memoryKiB: 131_072,
  maxMemoryKiB: 262_144,
  vcpus: 2,
  maxVcpus: 4,
  osType: 'hvm',
  arch: 'x86_64',
  machine: 'q35',
  virtType: 'qemu',
};
const db: DomainSummary = {
  ...web1,
  name: 'db',
  uuid: `${web1.uuid.slice(0, -1)}0`,
  id: -1,
  state: 'shutoff',
  reason: 'saved',
};
const bare: Paint = (_style, text) => text;

test('a table has its cells one blank from the edge and three apart', () => {
  expect(
    table(
      ['Id', 'Name'],
      [
        ['1', 'web1'],
        ['-', 'x'],
      ],
    ),
  ).toBe(' Id   Name\n------------\n 1    web1\n -    x\n');
});

test('colours do not widen a column, wide characters take two', () => {
  expect(width('\u001b[32mon\u001b[39m')).toBe(2);
  expect(width('日本')).toBe(4);
});

test('control characters of a name reach no terminal', () => {
  expect(safe('a\u001b[2Jb\n')).toBe('a\\x1b[2Jb\\x0a');
});

test('list shows active domains by id, then the others by name', () => {
  expect(printDomains([db, web1], { title: false }, bare)).toBe(
    [
      ' Id   Name   State      Host',
      '------------------------------',
      ' 7    web1   running    h1',
      ' -    db     shut off   h1',
      '',
    ].join('\n'),
  );
});

test('list --uuid --name prints both', () => {
  expect(isolatedNames([web1], { uuid: true, name: true })).toBe(`${web1.uuid} web1`);
});

test('dominfo is in the columns of virsh', () => {
  const text = printInfo(web1, undefined, true);
  expect(text).toContain('Id:             7\nName:           web1\n');
  expect(text).toContain('Max memory:     262144 KiB\nUsed memory:    131072 KiB\n');
  expect(printInfo(db, undefined, false)).toContain('Host:           h1 (offline');
  expect(printInfo({ ...web1, tainted: ['custom-argv'] }, undefined, true)).toContain(
    'Messages:       tainted: custom configuration parameters specified\n',
  );
});

test('domstate says why when asked', () => {
  expect(printState(web1, false)).toBe('running');
  expect(printState({ state: 'paused', reason: 'from-snapshot' }, true)).toBe('paused (from snapshot)');
});

test('an event is one line', () => {
  const event = {
    id: 'e1',
    class: 'lifecycle',
    type: 'started',
    detail: 'booted',
    time: '2026-01-02T10:11:12.345Z',
    host: 'h1',
    commandId: '6f1ed002ab5595859014ebf0951522d9',
    domain: web1,
  };
  expect(printEvent({ event, sequence: 17, subject: 's', last: true })).toBe(
    '2026-01-02 10:11:12.345      17  web1  lifecycle started (booted)  host=h1 revision=4 command=6f1ed002',
  );
});

test('domstats prints keys of virsh, and leaves out what is unknown', () => {
  const traffic = { bytes: 1, packets: 2, errors: 3, drops: 4 };
  const stats: DomainStats = {
    uuid: web1.uuid,
    name: 'web1',
    state: { state: 'running', reason: 'booted' },
    balloon: { currentKiB: 131_072, maximumKiB: 262_144, rssKiB: 90_000 },
    vcpu: { current: 1, maximum: 1, vcpus: [{ vcpu: 0, timeNs: 5, state: 'running' }] },
    net: [{ name: 'vnet0', alias: 'net0', rx: traffic, tx: traffic }],
  };
  expect(printStats(stats).split('\n').slice(0, 11)).toEqual([
    "Domain: 'web1'",
    '  state.state=1',
    '  state.reason=1',
    '  balloon.current=131072',
    '  balloon.maximum=262144',
    '  balloon.rss=90000',
    '  vcpu.current=1',
    '  vcpu.maximum=1',
    '  vcpu.0.state=1',
    '  vcpu.0.time=5',
    '  net.count=1',
  ]);
});

test('vcpucount prints four lines, or the one number that was asked for', () => {
  const counts = { current: 2, maximum: 4 };
  expect(printCpuCounts(counts, counts, undefined).split('\n')[0]).toBe('maximum      config         4');
  expect(printCpuCounts(counts, undefined, 'maximum')).toBe('4');
});

test('a job that is none is one line, and progress is a bar once a total is known', () => {
  const none = { type: 'none', operation: 'none', elapsedMs: 0 } as const;
  expect(printJob(none)).toBe('Job type:       None\n');
  expect(progressLine('Save', none, 1_200)).toBe('Save  1 s');
  const half = { type: 'bounded', operation: 'save', elapsedMs: 1, total: 4_096, processed: 2_048 } as const;
  expect(progressLine('Save', half, 3_000)).toBe(
    `Save  [${'#'.repeat(15)}${' '.repeat(15)}]  50 %  2.0 KiB of 4.0 KiB  3 s`,
  );
});

test('the bar of a migration is what no longer remains, whatever was on the wire; of its disks until memory is sent', () => {
  const migration = { step: 'perform', started: 1_000 } as Migration;
  const disks = { total: 4_096, processed: 1_024, remaining: 3_072 };
  const line = (progress: Partial<MigrationProgress>): string =>
    migrationLine({ ...migration, progress: { elapsedMs: 0, ...progress } }, 4_000);
  const bar = (cells: number): string => `[${'#'.repeat(cells).padEnd(30)}]`;
  expect(line({})).toBe('Migration: perform  3 s');
  expect(line({ disks })).toBe(`Migration: perform  ${bar(8)}  25 %  1.0 KiB of 4.0 KiB  3 s`);
  const memory = { total: 4_096, processed: 256, remaining: 2_048 };
  expect(line({ disks, memory })).toBe(`Migration: perform  ${bar(15)}  50 %  2.0 KiB of 4.0 KiB  3 s`);
});
