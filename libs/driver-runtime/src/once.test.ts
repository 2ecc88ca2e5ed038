import { VirtError } from '@virtbus/shared';
import { gate, OneHost, until, uuid, xml } from './testing/one-host';

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open();
  await one.define();
});
afterEach(() => one[Symbol.dispose]());

describe('the same command id', () => {
  test('sent twenty times at once starts one guest and gives twenty equal answers', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => one.call('start', {}, { id: 'c1' })));
    expect(one.machines.spawned).toBe(1);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(one.told()).toHaveLength(3);
  });

  test('gives its first answer again, also after a restart, whatever has happened since', async () => {
    const first = await one.call('start', {}, { id: 'c1' });
    await one.call('suspend');
    expect(await one.call('start', {}, { id: 'c1' })).toEqual(first);
    await one.restart();
    expect(await one.call('start', {}, { id: 'c1' })).toEqual(JSON.parse(JSON.stringify(first)));
    expect(one.machines.spawned).toBe(1);
    expect(one.state()).toBe('paused(user)');
  });

  test('gives its first refusal again, when the request was wrong', async () => {
    const first = await one.refusal('suspend', {}, { id: 'c1' });
    await one.call('start');
    expect(await one.refusal('suspend', {}, { id: 'c1' })).toBe(first);
    await one.restart();
    expect(await one.refusal('suspend', {}, { id: 'c1' })).toBe(first);
  });

  test('may be tried again when time could mend what was in the way', async () => {
    await one.call('start');
    const held = await one.host.get(uuid).jobs.normal('modify', 'test');
    expect(await one.refusal('suspend', {}, { id: 'c1', timeoutMs: 150 })).toContain('DOMAIN_BUSY');
    held[Symbol.dispose]();
    await one.call('suspend', {}, { id: 'c1' });
    expect(one.state()).toBe('paused(user)');
  });

  test('may be tried again after a defect', async () => {
    one.driver.before.set('start', () => {
      throw new TypeError('x is not a function');
    });
    await expect(one.call('start', {}, { id: 'c1' })).rejects.toThrow('x is not a function');
    one.driver.before.clear();
    await one.call('start', {}, { id: 'c1' });
    expect(one.state()).toBe('running(booted)');
  });

  test('for another operation is refused, also while the first is being applied', async () => {
    const spawned = gate();
    one.driver.before.set('spawned', () => spawned.wait);
    const starting = one.call('start', {}, { id: 'c1' });
    const text = 'INVALID_ARG: invalid argument: the command id c1 was used for start before';
    expect(await one.refusal('suspend', {}, { id: 'c1' })).toBe(text);
    spawned.open();
    await starting;
    expect(await one.refusal('destroy', {}, { id: 'c1' })).toBe(text);
    expect(one.state()).toBe('running(booted)');
  });

  test('is answered by a domain that has left: also after a restart', async () => {
    await one.call('start', {}, { id: 'c1' });
    await one.call('undefine', {}, { id: 'c2' });
    const destroyed = await one.call('destroy', {}, { id: 'c3' });
    expect(one.state()).toBe('absent');
    for (const again of [() => Promise.resolve(), () => one.restart()]) {
      await again();
      expect(await one.call('destroy', {}, { id: 'c3' })).toEqual(JSON.parse(JSON.stringify(destroyed)));
      expect((await one.call('undefine', {}, { id: 'c2' })).domain.persistent).toBe(false);
      expect(await one.refusal('destroy', {}, { id: 'c4' })).toContain('DOMAIN_NOT_FOUND');
    }
    // The uuid comes back: what was answered before is answered still, and its revision goes on.
    const { domain } = await one.define({}, { id: 'c5' });
    expect(domain.revision).toBe(6);
    expect((await one.call('start', {}, { id: 'c1' })).domain.state).toBe('running');
    expect(one.state()).toBe('shutoff(unknown)');
  });

  test('of define and create keeps its answer when the domain has gone', async () => {
    const other = '00000000-0000-4000-8000-000000000002';
    const document = { uuid: other, name: 'job7' };
    const created = await one.create(document, { id: 'c1' });
    await one.call('destroy', {}, { uuid: other });
    expect(one.state(other)).toBe('absent');
    expect(await one.create(document, { id: 'c1' })).toEqual(created);
    expect(one.machines.spawned).toBe(1);
    await one.create(document, { id: 'c2' });
    expect(one.machines.spawned).toBe(2);
  });

  test('of a create that is repeated while it starts waits for the one guest', async () => {
    const other = '00000000-0000-4000-8000-000000000002';
    const spawned = gate();
    one.driver.before.set('spawned', () => spawned.wait);
    const document = { uuid: other, name: 'job7' };
    const both = [one.create(document, { id: 'c1' }), one.create(document, { id: 'c1' })];
    await until(() => one.machines.spawned === 1);
    const text = await one.refusal('create', { xml: xml(document), epoch: 1, paused: false }, { id: 'c2' });
    expect(text).toBe("OPERATION_INVALID: Requested operation is not valid: domain 'job7' is already active");
    spawned.open();
    const [a, b] = await Promise.all(both);
    expect(a).toEqual(b);
    expect(one.machines.spawned).toBe(1);
  });

  test('is remembered among the last 64', async () => {
    await one.call('start', {}, { id: 'c0' });
    for (let n = 1; n <= 64; n++) {
      const operation = n % 2 ? 'suspend' : 'resume';
      await one.call(operation, {}, { id: `c${n}` });
    }
    expect(one.recordOnDisk().answered.map(({ id }) => id)).toEqual(Array.from({ length: 64 }, (_, n) => `c${n + 1}`));
  });
});

test('what became of a command is told to whoever asks, without doing it', async () => {
  const became = (command: string) => one.call('answer', { command });
  const spawned = gate();
  one.driver.before.set('spawned', () => spawned.wait);
  const starting = one.call('start', {}, { id: 'c1' });
  await until(() => one.machines.spawned === 1);
  expect(await became('c1')).toEqual({ state: 'pending' });
  spawned.open();
  const response = JSON.parse(JSON.stringify(await starting)) as object;
  await one.refusal('start', {}, { id: 'c2' });
  await one.restart();
  expect(await became('c1')).toEqual({ state: 'answered', response });
  expect(await became('c2')).toMatchObject({ state: 'answered', error: { code: 'OPERATION_INVALID' } });
  expect(await became('c3')).toEqual({ state: 'unknown' });
  await one.call('undefine');
  await one.call('destroy', {}, { id: 'c4' });
  expect(await became('c4')).toMatchObject({ state: 'answered' });
});

test('an error that time may mend leaves no command behind as if it were still being applied', async () => {
  await one.call('start');
  one.driver.before.set('suspend', () => {
    throw new VirtError('OPERATION_TIMEOUT', { detail: 'QEMU does not answer' });
  });
  expect(await one.refusal('suspend', {}, { id: 'c1' })).toContain('OPERATION_TIMEOUT');
  expect(one.recordOnDisk().pending).toBeUndefined();
});
