/** deploy/install.sh: what it lays out runs by itself, and systemd understands its units. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout, needsProgram, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';

let folder: TemporaryFolder;
beforeAll(() => {
  folder = temporaryFolder();
  mkdirSync(folder.file('etc/virtbus'), { recursive: true });
  writeFileSync(folder.file('etc/virtbus/storage.env'), 'VIRTBUS_HOST=mine\n');
  execFileSync(join(checkout, 'deploy/install.sh'), ['--destdir', folder.path, '--prefix', '/opt/virtbus']);
}, 240_000);
afterAll(() => folder[Symbol.dispose]());

const lib = (...parts: string[]): string => folder.file('opt/virtbus/lib/virtbus', ...parts);
const text = { encoding: 'utf8', stdio: 'pipe' } as const;

test('the layout holds what runs and no more', () => {
  expect(execFileSync(folder.file('opt/virtbus/bin/virtbus'), ['--version'], text)).toMatch(/^\d+\.\d+\.\d+/);
  const services = readdirSync(lib('services')).sort();
  expect(services).toEqual(['domain', 'driver-lxc', 'driver-qemu', 'migration', 'storage']);
  for (const service of services) {
    // Its modules are all there: it gets as far as refusing what it is told.
    const run = () => execFileSync(process.execPath, [lib('services', service), '--no-such-option'], text);
    expect(run).toThrow(/unknown option '--no-such-option'/);
  }
  const absent = [lib('node_modules/typescript'), lib('node_modules/jest'), lib('libs/testkit')];
  expect(absent.filter((path) => existsSync(path))).toEqual([]);
}, 120_000);

test('settings that are there are kept', () => {
  expect(readFileSync(folder.file('etc/virtbus/storage.env'), 'utf8')).toBe('VIRTBUS_HOST=mine\n');
  expect(existsSync(folder.file('etc/virtbus/domain.env'))).toBe(true);
});

needsProgram('systemd-analyze').test(
  'systemd finds no fault with the units',
  () => {
    const units = folder.file('usr/lib/systemd/system');
    const files = readdirSync(units).map((unit) => join(units, unit));
    expect(files).toHaveLength(5);
    for (const file of files) expect(readFileSync(file, 'utf8')).toContain('/opt/virtbus/lib/virtbus/services/');
    expect(execFileSync('systemd-analyze', ['verify', '--man=no', ...files], text)).toBe('');
  },
  120_000,
);
