/** A domain that is `performed`: nobody here knows whether it lives where it goes. */
import { setImmediate as turn } from 'node:timers/promises';
import type { VirtError } from '@virtbus/shared';
import { gate, until, uuid } from '../testing/one-host';
import { Moving } from '../testing/moving';

let moving: Moving;
beforeEach(async () => (moving = await Moving.open()));
afterEach(() => moving[Symbol.dispose]());

const handedOver = /^RESOURCE_BUSY: .*'web1' was handed over to host 'h2' by migration m1.*migrate-abort m1/;
const once = { timeoutMs: 300 };

async function performed(how: 'define' | 'create'): Promise<void> {
  const { from } = moving;
  await from[how]();
  if (how === 'define') await from.call('start');
  from.host.get(uuid).record.disks = { vda: { claim: 'c1' } };
  expect((await moving.performed()).phase).toBe('performed');
}

/** The process of its guest here is killed. */
const killed = { to: { state: 'shutoff', reason: 'crashed' }, detail: 'crashed' } as const;
function kill(): void {
  const { from } = moving;
  from.machines.end(uuid, 'crashed', 'crashed');
  from.guest.sink({ kind: 'ended', ...killed });
}

test('is neither ended, stopped nor started here, and every refusal says where it went and what to do', async () => {
  await performed('define');
  const { from } = moving;
  for (const operation of ['destroy', 'suspend', 'start', 'resume', 'reset']) {
    const request = operation === 'destroy' ? { graceful: false } : {};
    expect(await from.refusal(operation, request, once)).toMatch(handedOver);
  }
  expect(await from.refusal('qmp', { execute: 'cont' }, once)).toMatch(handedOver);
  expect(await from.call('qmp', { execute: 'query-status' })).toEqual({ result: 'ok' });
  expect(from.state()).toBe('paused(migration)');
  await from.restart();
  expect(await from.refusal('destroy', { graceful: false }, once)).toMatch(handedOver);
});

test('is destroyed where it went, when that is known in a moment', async () => {
  await performed('define');
  const { from, to } = moving;
  const destroyed = from.refusal('destroy', { graceful: false });
  // It waits for the switch then.
  await turn();
  await moving.finish();
  await moving.confirm();
  // Upon this the command is given where the domain lives now.
  expect(await destroyed).toMatch(/^DOMAIN_NOT_FOUND/);
  expect([from.state(), to.state()]).toEqual(['absent', 'running(migrated)']);
});

describe('that is handed over while it is being destroyed here', () => {
  /** How its destroy is answered, which has ended its process here by now. */
  async function destroyed(): Promise<{ answer: Promise<string> }> {
    const { from } = moving;
    await from.define();
    await from.call('start');
    const [dying, sent] = [gate(), gate()];
    const at = { destroy: false, suspend: false };
    from.driver.before.set('destroy', () => ((at.destroy = true), dying.wait));
    from.driver.before.set('suspend', () => ((at.suspend = true), sent.wait));
    const performed = moving.performed();
    await until(() => at.suspend);
    const answer = from.call('destroy', { graceful: false }).then(
      ({ domain }) => `${domain.state}(${domain.reason})`,
      (error: VirtError) => error.code,
    );
    await until(() => at.destroy);
    sent.open();
    expect((await performed).phase).toBe('performed');
    dying.open();
    await until(() => from.host.get(uuid).guest === undefined);
    return { answer };
  }

  test('is not said to have been destroyed when it lives on where it goes', async () => {
    const { answer } = await destroyed();
    await moving.finish();
    await moving.confirm();
    // Upon this the command is given where the domain lives now.
    expect(await answer).toBe('DOMAIN_NOT_FOUND');
    expect(moving.to.state()).toBe('running(migrated)');
  });

  test('was destroyed when it does not', async () => {
    const { answer } = await destroyed();
    await moving.undo();
    expect(await answer).toBe('shutoff(destroyed)');
  });
});

test('is destroyed here once it has come back', async () => {
  await performed('define');
  await moving.undo();
  expect(moving.from.state()).toBe('running(migration-canceled)');
  await moving.from.call('destroy', { graceful: false });
  expect(moving.from.state()).toBe('shutoff(destroyed)');
});

test.each(['define', 'create'] as const)(
  'keeps its images when its process here ends, and lives on where it goes (%s)',
  async (how) => {
    await performed(how);
    const { from, to } = moving;
    const before = from.told();
    kill();
    expect([from.state(), await moving.held()]).toEqual(['paused(migration)', ['vda']]);
    await from.restart();
    expect([from.state(), await moving.held()]).toEqual(['paused(migration)', ['vda']]);
    expect(from.told()).toEqual(before);
    expect(await from.refusal('destroy', { graceful: false }, once)).toMatch(handedOver);
    await moving.finish();
    expect((await moving.confirm()).phase).toBe('confirmed');
    expect([from.state(), to.state()]).toEqual(['absent', 'running(migrated)']);
    expect(from.told().slice(before.length)).toEqual(['stopped(migrated) m1']);
  },
);

test('keeps its images through a power cut, which takes back what was written last', async () => {
  await performed('define');
  const { from } = moving;
  const record = { ...from.recordOnDisk(), state: 'running' as const, reason: 'booted' };
  await from.restart({
    meanwhile: () => {
      from.writeRecord(record);
      from.machines.end(uuid, 'crashed', 'crashed');
    },
  });
  expect([from.state(), await moving.held()]).toEqual(['running(booted)', ['vda']]);
  expect(await from.refusal('destroy', { graceful: false }, once)).toMatch(handedOver);
  await moving.finish();
  await moving.confirm();
  expect([from.state(), moving.to.state()]).toEqual(['absent', 'running(migrated)']);
});

test('that has come back is nowhere else after a power cut that takes back what was written last', async () => {
  await performed('define');
  const { from } = moving;
  const record = from.recordOnDisk();
  await moving.undo();
  await from.restart({ meanwhile: () => from.writeRecord(record) });
  await from.call('destroy', { graceful: false });
  expect(from.state()).toBe('shutoff(destroyed)');
});

test('whose process has ended is told to have crashed when it does not live where it went', async () => {
  await performed('define');
  kill();
  await moving.undo();
  expect([moving.from.state(), await moving.held()]).toEqual(['shutoff(crashed)', []]);
  expect(moving.from.told().at(-1)).toBe('stopped(crashed)');
  await moving.from.call('start', {});
});

test('a transient one whose process has ended is gone when it does not live where it went', async () => {
  await performed('create');
  kill();
  await moving.undo();
  expect(moving.from.state()).toBe('absent');
});
