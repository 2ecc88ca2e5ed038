import { appendFileSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { tellStorage } from './images';
import { OneHost, until, uuid, xml } from './testing/one-host';
import type { MemoryDriver } from './testing/memory-driver';

let one: OneHost;
beforeEach(async () => (one = await OneHost.open()));
afterEach(() => one[Symbol.dispose]());

const never = () => new Promise<void>(() => undefined);
const hangAt =
  (...steps: Parameters<MemoryDriver['before']['set']>[0][]) =>
  (): void =>
    steps.forEach((step) => one.driver.before.set(step, never));

async function running(): Promise<number> {
  await one.define();
  await one.call('start');
  return one.told().length;
}

describe('after a restart of the driver, a guest', () => {
  test('that runs on is found and is told nothing of', async () => {
    const from = await running();
    const id = one.host.get(uuid).record.id;
    await one.restart();
    expect(one.told(from)).toEqual([]);
    expect(one.state()).toBe('running(booted)');
    expect(one.host.get(uuid).record.id).toBe(id);
    await one.call('suspend');
    expect(one.state()).toBe('paused(user)');
  });

  test('that ended meanwhile is told to have stopped, once', async () => {
    const from = await running();
    await one.restart({ meanwhile: () => one.machines.end(uuid, 'shutdown', 'shutdown') });
    expect(one.told(from)).toEqual(['stopped(shutdown)']);
    expect(one.state()).toBe('shutoff(shutdown)');
    await one.restart();
    expect(one.told(from)).toHaveLength(1);
  });

  test('that was asked to shut down before ends as the effect of that command', async () => {
    const from = await running();
    await one.call('shutdown', {}, { id: 'c-shutdown' });
    await one.restart({ meanwhile: () => one.machines.end(uuid, 'shutdown', 'shutdown') });
    expect(one.told(from)).toEqual(['stopped(shutdown) c-shutdown']);
  });

  test('that is transient and ended meanwhile has left', async () => {
    await one.create();
    await one.restart({ meanwhile: () => one.machines.end(uuid, 'crashed', 'failed') });
    expect(one.told().at(-1)).toBe('stopped(failed)');
    expect(one.state()).toBe('absent');
    expect(readdirSync(join(one.folder, 'state', 'domains'))).toEqual([]);
  });

  test.each([
    ['paused', ['suspended(paused)'], 'paused(unknown)'],
    ['crashed', ['crashed(panicked)'], 'crashed(panicked)'],
  ] as const)('that is %s now is told so', async (status, told, state) => {
    const from = await running();
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = status) });
    expect(one.told(from)).toEqual(told);
    expect(one.state()).toBe(state);
  });

  test('that was paused and runs now is told to have resumed', async () => {
    const from = await running();
    await one.call('suspend');
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = 'running') });
    expect(one.told(from + 1)).toEqual(['resumed(unpaused)']);
  });

  test('that cannot be found out about stays as it was, and keeps none of the others waiting', async () => {
    const from = await running();
    const other = '00000000-0000-4000-8000-000000000002';
    await one.define({ uuid: other, name: 'web2' });
    let asked = 0;
    await one.restart({
      prepare: (driver) =>
        driver.before.set('reattach', () => {
          asked++;
          throw new Error('EIO');
        }),
    });
    expect(asked).toBe(1);
    expect(one.told(from + 1)).toEqual([]);
    expect(one.state()).toBe('running(booted)');
    expect(one.state(other)).toBe('shutoff(unknown)');
    await one.restart();
    await one.call('destroy');
  });
});

describe('a command that the driver died in', () => {
  test('a start that had no process yet never was: it can be given again', async () => {
    await one.define();
    hangAt('start')();
    void one.call('start', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.recordOnDisk().pending?.id === 'c1');
    await one.restart();
    expect(one.state()).toBe('shutoff(failed)');
    expect(one.told()).toHaveLength(1);
    await one.call('start', {}, { id: 'c1' });
    expect(one.told(1)).toEqual(['resumed(unpaused) c1', 'started(booted) c1']);
  });

  test.each(['spawned', 'resume'] as const)('a start whose process has not run (%s) is taken back', async (step) => {
    await one.define();
    hangAt(step)();
    void one.call('start', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.machines.spawned === 1 && one.recordOnDisk().guest !== undefined);
    await one.restart();
    expect(one.machines.byUuid.size).toBe(0);
    expect(one.state()).toBe('shutoff(failed)');
    expect(one.told()).toHaveLength(1);
    await one.call('start', {}, { id: 'c1' });
    expect(one.machines.spawned).toBe(2);
  });

  test('a start whose guest runs has been done: it is told and answered', async () => {
    await one.define();
    hangAt('resume')();
    void one.call('start', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.recordOnDisk().guest !== undefined);
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = 'running') });
    expect(one.told(1)).toEqual(['resumed(unpaused) c1', 'started(booted) c1']);
    expect((await one.call('start', {}, { id: 'c1' })).domain.state).toBe('running');
    expect(one.machines.spawned).toBe(1);
  });

  test.each(['start', 'spawned'] as const)(
    'a create that had not run (%s) leaves neither process nor folder',
    async (step) => {
      hangAt(step)();
      void one.create({}, { id: 'c1' }).catch(() => undefined);
      await until(() => existsSync(join(one.host.store.folderOf(uuid), 'live.xml')));
      if (step === 'spawned') await until(() => one.recordOnDisk().guest !== undefined);
      await one.restart();
      expect(one.machines.byUuid.size).toBe(0);
      expect(one.state()).toBe('absent');
      expect(readdirSync(join(one.folder, 'state', 'domains'))).toEqual([]);
      expect((await one.create({}, { id: 'c1' })).domain.state).toBe('running');
    },
  );

  test('a create whose guest runs has been done, and its answer is whole', async () => {
    hangAt('resume')();
    void one.create({}, { id: 'c1' }).catch(() => undefined);
    await until(
      () => existsSync(join(one.host.store.folderOf(uuid), 'record.json')) && one.recordOnDisk().guest !== undefined,
    );
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = 'running') });
    expect(await one.create({}, { id: 'c1' })).toMatchObject({
      domain: { state: 'running', persistent: false },
      warnings: [],
    });
  });

  test('a suspend that was done is told as its effect and answered; one that was not is given again', async () => {
    const from = await running();
    hangAt('suspend')();
    void one.call('suspend', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.recordOnDisk().pending?.id === 'c1');
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = 'paused') });
    expect(one.told(from)).toEqual(['suspended(paused) c1']);
    expect((await one.call('suspend', {}, { id: 'c1' })).domain.state).toBe('paused');
    expect(one.told(from)).toHaveLength(1);
    await one.call('resume');
    hangAt('suspend')();
    void one.call('suspend', {}, { id: 'c2' }).catch(() => undefined);
    await until(() => one.recordOnDisk().pending?.id === 'c2');
    await one.restart();
    await one.call('suspend', {}, { id: 'c2' });
    expect(one.told().at(-1)).toBe('suspended(paused) c2');
  });

  test('a destroy whose guest is gone is told as its effect and answered', async () => {
    const from = await running();
    hangAt('destroy')();
    void one.call('destroy', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.recordOnDisk().pending?.id === 'c1');
    await one.restart({ meanwhile: () => one.machines.end(uuid, 'crashed', 'failed') });
    expect(one.told(from)).toEqual(['stopped(destroyed) c1']);
    expect((await one.call('destroy', {}, { id: 'c1' })).domain.state).toBe('shutoff');
  });
});

describe('a driver that died', () => {
  /** The record as the process that is gone has left it. */
  const left = (change: object) => () => one.writeRecord({ ...one.recordOnDisk(), ...change });

  test('while its guest powered off tells that it did', async () => {
    const from = await running();
    const meanwhile = (): void => {
      left({ state: 'shutdown', reason: 'unknown' })();
      one.machines.end(uuid, 'crashed', 'failed');
    };
    await one.restart({ meanwhile });
    expect(one.told(from)).toEqual(['stopped(shutdown)']);
  });

  test('while it ended a guest that was saved tells why, and answers', async () => {
    const from = await running();
    const meanwhile = (): void => {
      const ending = { reason: 'saved', detail: 'saved' };
      left({ state: 'paused', reason: 'save', ending, pending: { id: 'c1', operation: 'managed-save' } })();
      one.machines.end(uuid, 'crashed', 'failed');
    };
    await one.restart({ meanwhile });
    expect(one.told(from)).toEqual(['stopped(saved)']);
    expect(one.state()).toBe('shutoff(saved)');
    expect((await one.call('managed-save', {}, { id: 'c1' })).domain.state).toBe('shutoff');
  });

  test('before a guest that it had restored was let run lets it, as the effect of that command', async () => {
    const from = await running();
    const meanwhile = (): void => {
      one.machines.byUuid.get(uuid)!.status = 'paused';
      left({ state: 'paused', reason: 'from-snapshot', goesOn: true, pending: { id: 'c1', operation: 'start' } })();
    };
    await one.restart({ meanwhile });
    expect(one.told(from)).toEqual(['resumed(from-snapshot) c1']);
    expect(one.state()).toBe('running(restored)');
    expect((await one.call('start', {}, { id: 'c1' })).domain.state).toBe('running');
    await one.call('suspend');
    await one.restart();
    expect(one.state()).toBe('paused(user)');
  });

  test.each(['save', 'managed-save'])(
    'over a %s of a guest that was paused lets it be as it was',
    async (operation) => {
      await running();
      await one.call('suspend');
      const told: string[] = [];
      await one.restart({
        meanwhile: left({ pending: { id: 'c1', operation } }),
        prepare: ({ facets }) => {
          facets.save!.livesOn = async (guest) => void told.push(guest.uuid);
        },
      });
      expect([one.state(), told]).toEqual(['paused(user)', [uuid]]);
      await one.restart();
      expect(told).toHaveLength(1);
    },
  );

  test('over a save whose hypervisor does not answer lets the guest go on as soon as it does', async () => {
    await running();
    const meanwhile = (): void => {
      one.machines.byUuid.get(uuid)!.status = 'paused';
      left({ state: 'paused', reason: 'save' })();
    };
    let answers = false;
    const prepare = (driver: MemoryDriver): void =>
      void driver.before.set('resume', () => {
        if (!answers) throw new VirtError('OPERATION_TIMEOUT', { detail: 'it does not answer' });
      });
    await one.restart({ meanwhile, prepare });
    expect(one.state()).toBe('paused(save)');
    answers = true;
    await until(() => one.state() === 'running(save-canceled)');
  });

  test('after the event of an end, before the record of it, knows nothing of that run any more', async () => {
    await running();
    const before = one.recordOnDisk();
    await one.call('destroy', {}, { id: 'c1' });
    await one.restart({ meanwhile: () => one.writeRecord({ ...before, pending: { id: 'c1', operation: 'destroy' } }) });
    expect(one.host.get(uuid).record).toMatchObject({ state: 'shutoff', id: -1 });
    expect(one.host.get(uuid).record.guest).toBeUndefined();
    expect((await one.call('destroy', {}, { id: 'c1' })).domain.state).toBe('shutoff');
  });

  test('under a guest that was on its way here does not take it for one that has left', async () => {
    await running();
    const change = { incoming: 'm1', persistent: false, state: 'shutoff', reason: 'failed', guest: undefined };
    await one.restart({ meanwhile: left(change) });
    expect(one.host.get(uuid).record.incoming).toBe('m1');
    expect(one.host.contents()).toMatchObject({ domains: [], gone: [] });
  });

  test('over a guest that had run restores none of its past', async () => {
    await running();
    const image = one.host.store.managedSaveOf(uuid);
    const meanwhile = (): void => {
      writeFileSync(image, 'memory of before');
      one.machines.end(uuid, 'crashed', 'failed');
    };
    await one.restart({ meanwhile });
    expect(existsSync(image)).toBe(false);
    await one.call('start');
    expect(one.state()).toBe('running(booted)');
  });
});

describe('a managed save image', () => {
  const image = (): string => one.host.store.managedSaveOf(uuid);

  test('of a guest that runs is of its past: it is dropped, so that no start goes back in time', async () => {
    await running();
    await one.restart({ meanwhile: () => writeFileSync(image(), 'half written') });
    expect(existsSync(image())).toBe(false);
    await one.call('destroy');
    await one.call('start');
    expect(one.state()).toBe('running(booted)');
  });

  test('that a start was restoring when the driver died is told as restored, and then dropped', async () => {
    await running();
    await one.call('managed-save');
    const from = one.told().length;
    hangAt('resume')();
    void one.call('start', {}, { id: 'c1' }).catch(() => undefined);
    await until(() => one.recordOnDisk().guest !== undefined);
    await one.restart({ meanwhile: () => (one.machines.byUuid.get(uuid)!.status = 'running') });
    expect(one.told(from)).toEqual(['started(restored) c1', 'resumed(from-snapshot) c1']);
    expect(existsSync(image())).toBe(false);
  });
});

describe('a crash between the journal and the record', () => {
  /** Put the record back to what it was before the last events: as if it had not been written any more. */
  async function forgetting(act: () => Promise<unknown>): Promise<void> {
    const before = one.recordOnDisk();
    const folder = one.host.store.folderOf(uuid);
    await act();
    await one.restart({
      meanwhile: () => {
        if (!existsSync(folder)) return;
        one.writeRecord(before);
      },
    });
  }

  test('loses no revision: the next event goes on after the one that was journaled', async () => {
    await one.define();
    await forgetting(() => one.call('autostart', { enabled: true }));
    expect(one.host.get(uuid).record).toMatchObject({ revision: 2, autostart: true });
    await one.call('autostart', { enabled: false });
    expect(one.events().map(({ domain }) => domain.revision)).toEqual([1, 2, 3]);
  });

  test('does not tell an end twice', async () => {
    const from = await running();
    await forgetting(async () => one.guest.powerOff());
    expect(one.told(from)).toEqual(['shutdown(guest)', 'stopped(shutdown)']);
    expect(one.state()).toBe('shutoff(shutdown)');
  });

  test('keeps no transient domain that has ended', async () => {
    await one.create();
    const { store } = one.host;
    const [record, live] = [one.recordOnDisk(), store.loadDocument(uuid, 'live')!];
    await one.call('destroy', {}, { id: 'c1' });
    const told = one.told();
    await one.restart({
      meanwhile: () => {
        rmSync(join(store.folder, 'gone'), { recursive: true });
        store.makeFolderOf(uuid);
        store.saveRecord(record);
        store.saveDocument(uuid, 'live', live, false);
      },
    });
    expect(one.told()).toEqual(told);
    expect(one.state()).toBe('absent');
    expect(one.host.contents().gone).toMatchObject([{ uuid, revision: 3 }]);
    expect(readdirSync(join(store.folder, 'domains'))).toEqual([]);
  });
});

test('a damaged journal, record or document keeps no driver from starting', async () => {
  await one.define();
  const other = '00000000-0000-4000-8000-000000000002';
  await one.define({ uuid: other, name: 'web2' });
  const { folder } = one.host.store;
  await one.restart({
    meanwhile: () => {
      appendFileSync(join(folder, 'journal', '000000000001.jsonl'), 'damaged\n{"n":9');
      writeFileSync(join(folder, 'domains', other, 'config.xml'), '<domain');
    },
  });
  expect(one.state()).toBe('shutoff(unknown)');
  expect(one.state(other)).toBe('absent');
  expect(existsSync(join(folder, 'domains', other, 'record.json'))).toBe(true);
  // Nobody may take from its silence that it uses nothing.
  await expect(tellStorage(one.host, other, { afresh: false, revoke: [] })).rejects.toThrow('cannot be read');
  await one.call('start');
  expect(one.told().at(-1)).toContain('started(booted)');
});

describe('autostart', () => {
  test('is for a new boot of the host alone', async () => {
    await one.define();
    await one.call('autostart', { enabled: true });
    await one.restart();
    expect(one.machines.spawned).toBe(0);
    await one.restart({ freshBoot: true });
    expect(one.machines.spawned).toBe(1);
    expect(one.told(2)).toEqual(['resumed(unpaused)', 'started(booted)']);
    await one.restart();
    expect(one.machines.spawned).toBe(1);
  });

  test('goes on where a driver died over it, and starts nothing twice', async () => {
    const other = '00000000-0000-4000-8000-000000000002';
    await one.define();
    await one.define({ uuid: other, name: 'web2' });
    for (const each of [uuid, other]) await one.call('autostart', { enabled: true }, { uuid: each });
    // It dies while it starts the first.
    const prepare = (driver: MemoryDriver): void => void driver.before.set('start', never);
    void one.restart({ freshBoot: true, prepare }).catch(() => undefined);
    await until(() => [uuid, other].some((of) => one.host.find(of)?.active));
    await one.restart();
    expect([one.state(), one.state(other)]).toEqual(['running(booted)', 'running(booted)']);
    await one.call('destroy', {}, { uuid: other });
    await one.restart();
    expect([one.state(), one.state(other)]).toEqual(['running(booted)', 'shutoff(destroyed)']);
  });

  test('brings a saved guest back rather than boot it', async () => {
    await running();
    await one.call('autostart', { enabled: true });
    await one.call('managed-save');
    await one.restart({ freshBoot: true });
    expect(one.state()).toBe('running(restored)');
    expect(one.host.get(uuid).managedSave).toBe(false);
  });

  test('of one that fails keeps no other down', async () => {
    const other = '00000000-0000-4000-8000-000000000002';
    await one.define();
    await one.define({ uuid: other, name: 'web2' });
    await one.call('autostart', { enabled: true });
    await one.call('autostart', { enabled: true }, { uuid: other });
    let starts = 0;
    await one.restart({
      freshBoot: true,
      prepare: (driver) =>
        driver.before.set('start', () => {
          if (starts++ === 0) throw new Error('no such machine');
        }),
    });
    expect([one.state(), one.state(other)].sort()).toEqual(['running(booted)', 'shutoff(failed)']);
  });
});

test('guests of a host that is full of them are found side by side', async () => {
  for (let n = 0; n < 30; n++) {
    const [name, of] = [`d${n}`, `00000000-0000-4000-8000-0000000000${n + 10}`];
    await one.call('create', { xml: xml({ name, uuid: of }), epoch: 1, paused: false }, { uuid: of });
  }
  let looking = 0;
  let most = 0;
  await one.restart({
    prepare: (driver) =>
      driver.before.set('reattach', async () => {
        most = Math.max(most, ++looking);
        await new Promise((resolve) => setImmediate(resolve));
        looking--;
      }),
  });
  expect(most).toBe(30);
  expect(one.host.all().filter((actor) => actor.guest)).toHaveLength(30);
});
