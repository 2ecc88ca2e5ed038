/** Nothing can be written for a while: what is refused then has not happened, and what has happened is told once. */
import { VirtError } from '@virtbus/shared';
import { hold } from './images';
import { Store } from './store';
import { OneHost, uuid } from './testing/one-host';

const full = 'no space left on the device';
const refuse = (): never => {
  throw new VirtError('SYSTEM_ERROR', { detail: full });
};

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open();
  await one.define();
  await one.call('start');
});
afterEach(() => {
  jest.restoreAllMocks();
  one[Symbol.dispose]();
});

const actor = () => one.host.get(uuid);

test('a command that cannot be noted is refused with the reason, and is not the one being done', async () => {
  const from = one.told().length;
  jest.spyOn(one.host.store, 'saveRecord').mockImplementation(refuse);
  expect(await one.refusal('suspend', {}, { id: 'c1' })).toContain(full);
  jest.restoreAllMocks();
  expect(actor().current).toBeUndefined();
  one.guest.powerOff();
  expect(one.told(from)).toEqual(['shutdown(guest)', 'stopped(shutdown)']);
});

test('what a command was to hold is held no longer when that cannot be written', () => {
  jest.spyOn(one.host.store, 'saveRecord').mockImplementation(refuse);
  const before = actor().record.disks;
  expect(() => hold(actor(), { 'mirror:vda': { claim: 'c1' } })).toThrow(full);
  expect(actor().record.disks).toEqual(before);
});

test('an event that cannot be journaled has not happened, and leaves no gap', () => {
  const { revision } = actor().record;
  jest.spyOn(one.host.journalOnDisk, 'append').mockImplementation(refuse);
  expect(() => actor().emit({ class: 'block-job', type: 'completed' })).toThrow(full);
  expect(actor().record.revision).toBe(revision);
});

test('an event that is in the journal has happened: its record follows when it can be written', () => {
  const { revision } = actor().record;
  jest.spyOn(one.host.store, 'saveRecord').mockImplementation(refuse);
  actor().emit({ class: 'block-job', type: 'completed' });
  one.host.writeBehind();
  expect(one.recordOnDisk().revision).toBe(revision);
  jest.restoreAllMocks();
  one.host.writeBehind();
  expect(one.recordOnDisk().revision).toBe(revision + 1);
  expect(one.told().filter((told) => told === 'block-job.completed')).toHaveLength(1);
});

test('a guest that is found then is followed all the same: what its jobs came to is found out', async () => {
  jest.spyOn(Store.prototype, 'saveRecord').mockImplementationOnce(refuse);
  let followed = 0;
  await one.restart({
    prepare: (driver) => {
      const reattach = driver.reattach.bind(driver);
      driver.reattach = async (spec) => {
        const found = await reattach(spec);
        if (found.kind === 'alive') Object.assign(found.guest, { catchUp: async () => (followed++, []) });
        return found;
      };
    },
  });
  expect(followed).toBe(1);
  expect(one.state()).toBe('running(booted)');
});
