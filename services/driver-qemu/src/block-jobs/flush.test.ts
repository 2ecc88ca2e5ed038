/** What images hold when QEMU is killed over the end of a job that has copied between them. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@virtbus/testkit';
import { BareGuest } from '../process/bare-guest';
import { flushImage } from './graph';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-flush-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const image = (name: string): string => join(folder, name);
const qemuImg = (...args: string[]): string => execFileSync('qemu-img', args, { encoding: 'utf8' });
const qemuIo = (path: string, command: string): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path], { encoding: 'utf8' });

/** `top` upon `middle`, which holds data, upon `base`. */
function makeChain(): void {
  qemuImg('create', '-q', '-f', 'qcow2', image('base'), '16M');
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image('base'), image('middle'));
  qemuIo(image('middle'), 'write -P 7 0 4M');
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image('middle'), image('top'));
}

function blockdevs(): string[] {
  return ['base', 'middle', 'top'].flatMap((name, n, all) => [
    '-blockdev',
    JSON.stringify({
      driver: 'qcow2',
      'node-name': name,
      'read-only': name !== 'top',
      file: { driver: 'file', filename: image(name), 'auto-read-only': true },
      backing: all[n - 1] ?? null,
    }),
  ]);
}

test.each([
  ['commit', 'block-commit', { device: 'top', 'top-node': 'middle', 'base-node': 'base' }, 'base'],
  ['pull', 'block-stream', { device: 'top', 'base-node': 'base' }, 'top'],
])('what a %s has copied is there, whenever QEMU dies after its header says so', async (_, command, args, written) => {
  makeChain();
  await using guest = await BareGuest.start(blockdevs());
  const job = { 'job-id': 'job', 'auto-finalize': false, 'auto-dismiss': false };
  await guest.qmp.executeRaw(command, { ...args, ...job });
  await eventually(async () => (await guest.qmp.execute('query-jobs'))[0]?.status, 'pending');
  await flushImage({ ask: (name, given) => guest.qmp.execute(name, given) }, written);
  process.kill(guest.process.identity.pid, 'SIGKILL');
  await guest.process.exited;
  // As the job makes it next.
  qemuImg('rebase', '-q', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', image('base'), image('top'));
  expect(qemuIo(image('top'), 'read -P 7 0 4M')).not.toContain('verification failed');
});
