/** What the log has of a host whose disk has lost the last seconds. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError, type DomainEvent } from '@virtbus/shared';
import { tellEndsOfLastBoot } from './power-cut';
import type { DomainRecord } from './record';
import { heldBefore, OneHost, uuid } from './testing/one-host';

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open();
  await one.define();
});
afterEach(() => one[Symbol.dispose]());

/** The guest is started, the power fails before the disk knows, and the host boots. @returns what the log has last */
async function startedRightBefore(): Promise<DomainEvent> {
  const before = one.recordOnDisk();
  await one.call('start');
  const told = one.events().at(-1)!;
  await one.restart({
    freshBoot: true,
    meanwhile: () => {
      one.machines.end(uuid, 'crashed', 'crashed');
      one.writeRecord(before);
      rmSync(join(one.host.store.folder, 'journal'), { recursive: true });
    },
  });
  return told;
}

const ask = (last: () => Promise<DomainEvent | undefined>): Promise<void> =>
  tellEndsOfLastBoot(one.host, last, new AbortController().signal);

test('the end is told of a guest that ran by the log, and not by the disk', async () => {
  const told = await startedRightBefore();
  expect([one.state(), one.told()]).toEqual(['shutoff(unknown)', []]);
  await ask(async () => told);
  expect([one.state(), one.told()]).toEqual(['shutoff(crashed)', ['stopped(failed)']]);
  expect(one.events()[0]!.domain.revision).toBeGreaterThan(told.domain.revision);
  await ask(async () => told);
  expect(one.told()).toHaveLength(1);
});

test('nothing is told of one of which the log has nothing later, nor anything but its end, nor this life', async () => {
  const told = await startedRightBefore();
  const { domain } = told;
  const boot = one.host.ofEarlierBoot.entries().next().value!;
  for (const last of [
    undefined,
    { ...told, domain: { ...domain, revision: boot[1].onDisk } },
    { ...told, domain: { ...domain, state: 'shutoff', reason: 'destroyed' } },
    { ...told, domain: { ...domain, epoch: domain.epoch + 1 } },
  ] as (DomainEvent | undefined)[]) {
    one.host.ofEarlierBoot.set(...boot);
    await ask(async () => last);
  }
  expect(one.told()).toEqual([]);
});

test('nothing is told of one that has been started in this boot', async () => {
  const told = await startedRightBefore();
  await one.call('start');
  const events = one.told();
  await ask(async () => told);
  expect([one.told(), one.state()]).toEqual([events, 'running(booted)']);
});

test('the log is asked until it can be read', async () => {
  const told = await startedRightBefore();
  let asked = 0;
  await ask(async () => {
    if (++asked === 1) throw new Error('no leader');
    return told;
  });
  expect([asked, one.told()]).toEqual([2, ['stopped(failed)']]);
});

test('each boot raises the revisions, also where nothing has been written since the last', async () => {
  const { revision } = one.recordOnDisk();
  const now = (): number => one.host.get(uuid).record.revision;
  await one.restart();
  expect(now()).toBe(revision);
  const seen: number[] = [revision];
  const record = one.recordOnDisk();
  for (let boot = 0; boot < 3; boot++) {
    await one.restart({ freshBoot: true, meanwhile: () => one.writeRecord(record) });
    expect(now()).toBeGreaterThan(seen.at(-1)! + 1_000);
    seen.push(now());
  }
});

test('a live document that the power cut has torn keeps no domain away', async () => {
  await one.call('start');
  await one.restart({
    freshBoot: true,
    meanwhile: () => {
      one.machines.end(uuid, 'crashed', 'crashed');
      one.host.store.saveDocument(uuid, 'live', '\0\0\0', false);
    },
  });
  expect(one.state()).toBe('shutoff(crashed)');
  expect(one.told().at(-1)).toBe('stopped(crashed)');
});

test('a domain that has left does not come back with its folder', async () => {
  const record = one.recordOnDisk();
  await one.call('undefine', { managedSave: false, nvram: 'refuse' });
  const { store } = one.host;
  await one.restart({
    freshBoot: true,
    meanwhile: () => {
      store.makeFolderOf(uuid);
      store.establish(record);
      rmSync(join(store.folder, 'journal'), { recursive: true });
    },
  });
  expect([one.state(), one.told()]).toEqual(['absent', []]);
});

describe('a managed save image', () => {
  /** The power fails before the disk knows more than this record. */
  const cutAt = (record: DomainRecord, meanwhile: () => void = () => undefined): Promise<void> =>
    one.restart({
      freshBoot: true,
      meanwhile: () => {
        one.machines.end(uuid, 'crashed', 'crashed');
        one.writeRecord(record);
        rmSync(join(one.host.store.folder, 'journal'), { recursive: true });
        meanwhile();
      },
    });

  beforeEach(async () => {
    await one.call('start');
    await one.call('managed-save');
  });

  test('of a guest that has not run since is there', async () => {
    await cutAt(one.recordOnDisk());
    expect(one.host.get(uuid).managedSave).toBe(true);
  });

  test('of a guest that was about to run is gone: to restore it would be to go back in time under its disks', async () => {
    const record = one.recordOnDisk();
    const { reached, open } = heldBefore(one.driver, 'resume');
    const started = one.call('start');
    await reached;
    const { store } = one.host;
    const kept = readFileSync(`${store.managedSaveOf(uuid)}.spent`);
    open();
    await started;
    await cutAt(record, () => writeFileSync(`${store.managedSaveOf(uuid)}.spent`, kept));
    expect([one.host.get(uuid).managedSave, readdirSync(store.folderOf(uuid)).join()]).toEqual([
      false,
      expect.not.stringContaining('managed'),
    ]);
  });

  test('of a guest that could not be let run is there again', async () => {
    one.driver.before.set('resume', async () => {
      throw new VirtError('OPERATION_FAILED', { detail: 'it cannot' });
    });
    await one.refusal('start');
    await one.restart();
    expect([one.state(), one.host.get(uuid).managedSave]).toEqual(['shutoff(failed)', true]);
  });
});
