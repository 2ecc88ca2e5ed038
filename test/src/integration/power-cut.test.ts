/**
 * What a disk holds after a power cut at the end of a block job: the file system lies in a file of its own, and what that holds at
 * a moment is what would be left.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, fsyncSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { commitBlocks, destroyDomain, listBlockJobs, pullBlocks } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';
import { disk, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(120_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** Somebody waits for the disk over a name: so do all names that were given or taken before, and what is new in files. */
function flushNames(folder: string): void {
  const fd = openSync(folder, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** Backing file and files as whoever mounts it after a power cut finds them. */
function afterPowerCut(device: string, image: string): { backing: string; files: string[] } {
  const [copy, at] = [`${device}.cut`, stack.folder.file('cut')];
  copyFileSync(device, copy);
  mkdirSync(at, { recursive: true });
  execFileSync('mount', ['-o', 'loop', copy, at]);
  try {
    const info = qemuImg('info', '--output=json', `${at}/${image}`);
    const { 'backing-filename': backing = '' } = JSON.parse(info) as Record<string, string>;
    return { backing: backing.split('/').at(-1)!, files: readdirSync(at) };
  } finally {
    execFileSync('umount', [at]);
  }
}

const jobs: Record<string, (target: { target: string }) => Promise<unknown>> = {
  commit: (target) => call(bus, commitBlocks, { disk: 'vda', top: 'vda[2]', shallow: true, delete: true }, target),
  pull: (target) => call(bus, pullBlocks, { disk: 'vda', base: 'vda[3]' }, target),
};

for (const [name, begin] of Object.entries(jobs)) {
  needsRoot().test(`a ${name} that was told as done is done after a power cut, too`, async () => {
    const [device, at] = [stack.folder.file(`${name}.ext4`), stack.folder.file(name)];
    execFileSync('truncate', ['-s', '64M', device]);
    execFileSync('mkfs.ext4', ['-q', device]);
    mkdirSync(at);
    execFileSync('mount', ['-o', 'loop', device, at]);
    try {
      rawImage(`${at}/base`, name);
      overlay(`${at}/mid`, 'base', 'raw');
      overlay(`${at}/top`, 'mid', 'qcow2');
      execFileSync('sync');
      const { uuid } = await stack.run(bus, { name, devices: disk(`${at}/top`, 'qcow2') });
      await begin({ target: uuid });
      await eventually(async () => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs.length, 0);
      flushNames(at);
      const left = afterPowerCut(device, 'top');
      expect(left.backing).toBe('base');
      expect(left.files.includes('mid')).toBe(name === 'pull');
      await call(bus, destroyDomain, {}, { target: uuid });
    } finally {
      for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
      await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
      execFileSync('umount', [at]);
    }
  });
}
