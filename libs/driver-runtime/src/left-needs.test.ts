/** A driver is killed between what it holds for a command and the job that the command is for. */
import type { BlockJob } from '@virtbus/shared';
import { startWithDisk } from './testing/memory-backups';
import { OneHost, uuid } from './testing/one-host';

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open();
  await startWithDisk(one);
});
afterEach(() => one[Symbol.dispose]());

/** @param list what the hypervisor says of its jobs */
async function diedHolding(list: () => Promise<BlockJob[]>): Promise<void> {
  const record = one.recordOnDisk();
  const disks = { vda: { claim: 'c0' }, 'mirror:vda': { claim: 'c1.2' }, 'target:vdb': { claim: 'c0' } };
  one.writeRecord({ ...record, disks, pending: { id: 'c1', operation: 'block-copy' } });
  await one.restart({ prepare: (driver) => Object.assign(driver.facets, { blockJobs: { list } }) });
}
const held = (): string[] => Object.keys(one.host.get(uuid).record.disks ?? {});

test('what it was for never began: it is held no longer, and whoever has leased it hears of that', async () => {
  const from = one.told().length;
  await diedHolding(async () => []);
  expect(held()).toEqual(['vda', 'target:vdb']);
  expect(Object.keys(one.recordOnDisk().disks ?? {})).toEqual(['vda', 'target:vdb']);
  expect(one.told(from)).toEqual(['job.failed c1']);
});

test.each<[string, () => Promise<BlockJob[]>]>([
  ['the disk has a job', async () => [{ disk: 'vda' } as BlockJob]],
  ['nobody says whether it has', () => Promise.reject(new Error('it hangs'))],
])('it stays held where %s', async (_, list) => {
  const from = one.told().length;
  await diedHolding(list);
  expect(held()).toEqual(['vda', 'mirror:vda', 'target:vdb']);
  expect(one.told(from)).toEqual([]);
});

test.each([
  ['has not heard of', false, ['vda']],
  ['has not said of whether it has come', true, ['vda', 'coming:vdb']],
] as const)('what a disk that joined was to have, and that the hypervisor %s', async (_, expectsDevices, left) => {
  const from = one.told().length;
  const disks = { vda: { claim: 'c0' }, 'coming:vdb': { claim: 'c1.2' } };
  one.writeRecord({ ...one.recordOnDisk(), disks, pending: { id: 'c1', operation: 'device-attach' } });
  await one.restart({
    prepare: (driver) => {
      const reattach = driver.reattach.bind(driver);
      driver.reattach = async (spec) => {
        const found = await reattach(spec);
        if (found.kind === 'alive') Object.assign(found.guest, { expectsDevices });
        return found;
      };
    },
  });
  expect(held()).toEqual(left);
  expect(one.told(from)).toEqual(expectsDevices ? [] : ['job.failed c1']);
});
