/**
 * What headers and definitions name after a power cut: the file system lies in a file of its own, and what that holds at a moment is
 * what would be left.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  createSnapshot,
  deleteSnapshot,
  destroyDomain,
  listBlockJobs,
  pullBlocks,
  revertSnapshot,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, HostDisk, needsHostDisk, Stack } from '@virtbus/testkit';
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

function backingOf(image: string): string | undefined {
  const info = JSON.parse(qemuImg('info', '--output=json', image)) as Record<string, string>;
  return info['backing-filename']?.split('/').at(-1);
}

/** No guest has a disk open any more. */
async function endGuests(): Promise<void> {
  for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
  await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
}

const jobs: Record<string, (target: { target: string }) => Promise<unknown>> = {
  commit: (target) => call(bus, commitBlocks, { disk: 'vda', top: 'vda[2]', shallow: true, delete: true }, target),
  pull: (target) => call(bus, pullBlocks, { disk: 'vda', base: 'vda[3]' }, target),
};

for (const [name, begin] of Object.entries(jobs)) {
  needsHostDisk().test(`a ${name} that was told as done is done after a power cut, too`, async () => {
    const at = stack.folder.file(name);
    mkdirSync(at, { mode: 0o755 });
    using power = HostDisk.under(at);
    try {
      rawImage(`${at}/base`, name);
      overlay(`${at}/mid`, 'base', 'raw');
      overlay(`${at}/top`, 'mid', 'qcow2');
      power.flush();
      const { uuid } = await stack.run(bus, { name, devices: disk(`${at}/top`, 'qcow2') });
      await begin({ target: uuid });
      await eventually(async () => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs.length, 0);
      flushNames(at);
      expect(power.afterCut((cut) => backingOf(`${cut}/top`))).toBe('base');
      expect(power.afterCut((cut) => readdirSync(cut)).includes('mid')).toBe(name === 'pull');
      await call(bus, destroyDomain, {}, { target: uuid });
    } finally {
      await endGuests();
    }
  });
}

needsHostDisk().test(
  'after a power cut the definition names what the guest has begun to write to, and nothing that has been removed',
  async () => {
    const kept = stack.folder.file('state', 'hosts', 'h1', 'qemu');
    let power!: HostDisk;
    await stack.restartDriver('h1', async () => void (power = HostDisk.under(kept)));
    try {
      const file = (name: string): string => stack.folder.file(name);
      const { uuid } = await stack.run(bus, {
        name: 'defined',
        devices: disk(rawImage(file('first.img'), 'x'), 'raw'),
      });
      const target = { target: uuid };
      power.flush();
      const defined = (): string =>
        power.afterCut((cut) => readFileSync(join(cut, 'domains', uuid, 'config.xml'), 'utf8'));
      const onto = (name: string): string =>
        `<domainsnapshot><name>${name}</name><disks><disk name='vda'><source file='${file(name)}'/></disk></disks></domainsnapshot>`;
      await call(bus, createSnapshot, { xml: onto('second'), diskOnly: true, noMetadata: true }, target);
      expect(defined()).toContain(file('second'));
      const xml = `<disk type='file'><driver type='qcow2'/><source file='${file('third')}'/></disk>`;
      await call(bus, copyBlocks, { disk: 'vda', xml, transientJob: true }, target);
      await eventually(async () => (await call(bus, listBlockJobs, {}, target)).jobs[0]?.state, 'ready');
      await call(bus, abortBlockJob, { disk: 'vda', pivot: true }, target);
      expect(defined()).toContain(file('third'));
      await call(bus, destroyDomain, {}, target);
      for (const [name, contract] of [
        ['merged', deleteSnapshot],
        ['given-up', revertSnapshot],
      ] as const) {
        await call(bus, createSnapshot, { xml: onto(name), diskOnly: true }, target);
        power.flush();
        await call(bus, contract, { name }, target);
        expect(existsSync(file(name))).toBe(false);
        expect(defined()).not.toContain(file(name));
      }
    } finally {
      await stack.drivers.get('h1')!.stop('SIGKILL');
      await endGuests();
      power[Symbol.dispose]();
    }
  },
);
