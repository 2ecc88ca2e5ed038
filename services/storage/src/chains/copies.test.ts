/** Images for disks that come from another host, also where the service died over making them. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '@virtbus/shared/log';
import { makeCopies } from './copies';
import { MadeFiles } from './made-files';

const mib = 1024 * 1024;
const maker = { domain: '00000000-0000-4000-8000-000000000001', claim: 'm1' };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-copies-'));
  mkdirSync(at('images'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const path = (): string => at('images/disk.img');
const opened = (): MadeFiles => new MadeFiles(at('made'), silent);
const copies = (format: string) => [
  {
    disk: `<disk type='file' device='disk'><driver name='qemu' type='${format}'/><source file='${path()}'/><target dev='vda' bus='virtio'/></disk>`,
    capacity: 8 * mib,
  },
];
/** What pools were told of. */
let told: string[];
beforeEach(() => (told = []));
const volumes = { made: async (path: string, format: string) => void told.push(`${format} ${path}`) };
const seen = (): { format: string; 'virtual-size': number } =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path()], { encoding: 'utf8' })) as ReturnType<
    typeof seen
  >;

test.each(['raw', 'qcow2'])('a %s image is made as large as it is there, and found again', async (format) => {
  const made = opened();
  await makeCopies(made, maker, copies(format), volumes);
  expect(seen()).toMatchObject({ format, 'virtual-size': 8 * mib });
  const words = 'what the guest has brought';
  writeFileSync(path(), words, { flag: 'r+' });
  if (format === 'raw') truncateSync(path(), 16 * mib);
  const { size } = statSync(path());
  await makeCopies(made, maker, copies(format), volumes);
  expect(statSync(path()).size).toBe(size);
  expect(readFileSync(path(), 'latin1').slice(0, words.length)).toBe(words);
  // Also of one that was made by a process that may have died before it told.
  expect(told).toEqual([`${format} ${path()}`, `${format} ${path()}`]);
});

test('one that is half made is made whole by the same command, and removed when that came to nothing', async () => {
  await opened().make(maker, path(), 'vda');
  appendFileSync(path(), 'QFI\xfb and then the service died');
  await makeCopies(opened(), maker, copies('qcow2'), volumes);
  expect(seen()).toMatchObject({ format: 'qcow2', 'virtual-size': 8 * mib });
  await opened().over({ domain: maker.domain, claims: ['m1'] }, false, async () => false);
  expect(statSync(path(), { throwIfNoEntry: false })).toBeUndefined();
});

test('what somebody has made for it is left as it is', async () => {
  writeFileSync(path(), 'theirs');
  await makeCopies(opened(), maker, copies('qcow2'), volumes);
  expect(statSync(path()).size).toBe(6);
  expect([opened().makers, told]).toEqual([[], []]);
});
