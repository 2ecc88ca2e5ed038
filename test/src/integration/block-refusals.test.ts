/** What is refused without effect on the images of a running guest, and a file system that is full under one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync, readFileSync } from 'node:fs';
import { commitBlocks, createSnapshot, defineDomain, listBlockJobs, resumeDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';
import { disk, overlay } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const snapshotTo = (paths: Record<string, string>): string => {
  const disks = ['vda', 'vdb'].map((name) =>
    paths[name]
      ? `<disk name='${name}' snapshot='external'><source file='${paths[name]}'/></disk>`
      : `<disk name='${name}' snapshot='no'/>`,
  );
  return `<domainsnapshot><name>one</name><disks>${disks.join('')}</disks></domainsnapshot>`;
};

test('no image is merged into one that others stand on, no snapshot is taken onto a file that is there', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'careful' });
  const target = { target: guest.uuid };
  const other = overlay(stack.folder.file('other.qcow2'), guest.file('vda-1.qcow2'), 'qcow2');
  await call(bus, defineDomain, { xml: await stack.domainXml({ name: 'other', devices: disk(other, 'qcow2') }) });
  const others = {
    code: 'IMAGE_IN_USE',
    message: expect.stringMatching(/vda-1\.qcow2.*'other'/) as string,
  };
  const [top, base] = [await guest.layer('vda', 1), await guest.layer('vda', 2)];
  const into = { disk: 'vda', top, base };
  await expect(call(bus, commitBlocks, into, target)).rejects.toMatchObject(others);
  // What lies between is not for others to lose either.
  const over = { disk: 'vda', active: true };
  await expect(call(bus, commitBlocks, over, target)).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
  expect((await call(bus, listBlockJobs, {}, target)).jobs).toEqual([]);

  const [there, fresh] = [stack.folder.file('there.qcow2'), guest.file('fresh.qcow2')];
  writeFileSync(there, 'something');
  const onto = call(bus, createSnapshot, { xml: snapshotTo({ vda: fresh, vdb: there }), diskOnly: true }, target);
  await expect(onto).rejects.toMatchObject({ message: expect.stringContaining(there) as string });
  expect(readFileSync(there, 'utf8')).toBe('something');
  await guest.flushesMore(20);
  // And no overlay of the disk that could have had one: it would lie among the guest's images.
  expect(await faultsOf(guest)).toEqual([]);
});

needsRoot().test(
  'a guest whose overlay has no room left is paused, and goes on where it was when there is room',
  async () => {
    const small = stack.folder.file('small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'none', small]);
    try {
      const guest = await WritingGuest.start(stack, bus, { name: 'full' });
      const target = { target: guest.uuid };
      const xml = snapshotTo({ vda: `${small}/vda.one` });
      await call(bus, createSnapshot, { xml, diskOnly: true }, target);
      await eventually(() => stack.state(bus, guest.uuid), 'paused(ioerror)', { timeoutMs: 60_000 });
      expect((await stack.events(bus, guest.uuid)).map(({ class: kind, type }) => `${kind}.${type}`)).toContain(
        'io-error.pause',
      );
      execFileSync('mount', ['-o', 'remount,size=64m', small]);
      await call(bus, resumeDomain, {}, target);
      await guest.flushesMore(200);
      const vda = [`${small}/vda.one`, ...[3, 2, 1].map((n) => `vda-${n}.qcow2`), 'vda-0.img'];
      expect(await faultsOf(guest, { chains: { vda } })).toEqual([]);
    } finally {
      for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
      await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
      execFileSync('umount', [small]);
    }
  },
  240_000,
);
