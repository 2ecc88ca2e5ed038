import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { gate, OneHost, until, uuid, xml } from './testing/one-host';

let one: OneHost;
beforeEach(async () => (one = await OneHost.open()));
afterEach(() => one[Symbol.dispose]());

const invalid = (detail: string): string => `OPERATION_INVALID: Requested operation is not valid: ${detail}`;
const notRunning = invalid('domain is not running');

describe('the events of a domain', () => {
  test('are told in libvirt’s order, each with the command that caused it and a rising revision', async () => {
    await one.define({}, { id: 'c-define' });
    await one.call('start', {}, { id: 'c-start' });
    await one.call('suspend', {}, { id: 'c-suspend' });
    await one.call('resume', {}, { id: 'c-resume' });
    await one.call('shutdown', {}, { id: 'c-shutdown' });
    one.guest.powerOff();
    await one.call('start', { paused: true }, { id: 'c-paused' });
    await one.call('destroy', {}, { id: 'c-destroy' });
    await one.call('undefine', {}, { id: 'c-undefine' });
    expect(one.told()).toEqual([
      'defined(added) c-define',
      'resumed(unpaused) c-start',
      'started(booted) c-start',
      'suspended(paused) c-suspend',
      'resumed(unpaused) c-resume',
      'shutdown(guest) c-shutdown',
      'stopped(shutdown) c-shutdown',
      'started(booted) c-paused',
      'suspended(paused) c-paused',
      'stopped(destroyed) c-destroy',
      'undefined(removed) c-undefine',
    ]);
    const revisions = one.events().map(({ domain }) => domain.revision);
    expect(revisions).toEqual(revisions.map((_, n) => n + 1));
    expect(one.events().map(({ domain }) => domain.state)).toEqual([
      'shutoff',
      'running',
      'running',
      'paused',
      'running',
      'shutdown',
      'shutoff',
      'paused',
      'paused',
      'shutoff',
      'shutoff',
    ]);
    expect(one.state()).toBe('absent');
  });

  test('of a power-off that nobody asked for name no command', async () => {
    await one.define();
    await one.call('start');
    one.guest.powerOff();
    expect(one.told(3)).toEqual(['shutdown(guest)', 'stopped(shutdown)']);
    expect(one.state()).toBe('shutoff(shutdown)');
  });

  test('of a shutdown that could not be asked for are not that command’s', async () => {
    await one.define();
    await one.call('start');
    one.driver.before.set('shutdown', () => {
      throw new VirtError('AGENT_UNRESPONSIVE', { detail: 'agent is not connected' });
    });
    expect(await one.refusal('shutdown', { mode: ['agent'] }, { id: 'c-shutdown' })).toContain('AGENT_UNRESPONSIVE');
    one.guest.powerOff();
    expect(one.told(3)).toEqual(['shutdown(guest)', 'stopped(shutdown)']);
  });

  test('name the command that is applied, not one that runs beside it', async () => {
    await one.define();
    await one.call('start');
    const [agent, suspend] = [gate(), gate()];
    one.driver.before.set('agent', () => agent.wait);
    one.driver.before.set('suspend', () => suspend.wait);
    const suspending = one.call('suspend', {}, { id: 'c-suspend' });
    const asking = one.call('agent', { execute: 'guest-ping' }, { id: 'c-agent' });
    await until(() => one.host.get(uuid).applies('c-agent'));
    agent.open();
    await asking;
    suspend.open();
    await suspending;
    expect(one.told(3)).toEqual(['suspended(paused) c-suspend']);
  });

  test('two creates of one defined domain start it once, whoever comes first', async () => {
    using one = await OneHost.open();
    await one.define();
    const both = await Promise.allSettled([one.create({}, { id: 'first' }), one.create({}, { id: 'second' })]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(one.machines.spawned).toBe(1);
  });

  test('end with the guest: what it tells too late is not heard', async () => {
    await one.define();
    await one.call('start');
    const former = one.guest;
    await one.call('destroy');
    former.sink({ kind: 'ended', to: { state: 'shutoff', reason: 'crashed' }, detail: 'failed' });
    await one.call('start');
    former.sink({ kind: 'ended', to: { state: 'shutoff', reason: 'crashed' }, detail: 'failed' });
    expect(one.state()).toBe('running(booted)');
    expect(one.told(3)).toEqual([
      expect.stringContaining('stopped(destroyed)'),
      expect.stringContaining('resumed'),
      expect.stringContaining('started'),
    ]);
  });
});

describe('what is legal in which state', () => {
  const document = { path: '/nowhere/x.save' };
  test.each([
    ['destroy', {}, notRunning],
    ['shutdown', {}, notRunning],
    ['reboot', {}, notRunning],
    ['reset', {}, notRunning],
    ['suspend', {}, notRunning],
    ['resume', {}, notRunning],
    ['save', document, notRunning],
    ['managed-save', {}, notRunning],
    ['job-abort', {}, notRunning],
    ['agent', { execute: 'guest-ping' }, notRunning],
    ['qmp', { execute: 'query-status' }, notRunning],
    ['memory', { kib: 1024, affect: 'live' }, notRunning],
    ['memory', { kib: 1024, affect: 'both' }, notRunning],
    ['screenshot', {}, notRunning],
  ])('%s %j of an inactive domain', async (operation, request, text) => {
    await one.define();
    expect(await one.refusal(operation, request)).toBe(text);
    expect(one.told()).toHaveLength(1);
  });

  test.each([
    ['start', {}, invalid('domain is already running')],
    ['resume', {}, invalid('domain is already running')],
    ['job-abort', {}, invalid('no job is active on the domain')],
    ['rename', { name: 'web2' }, invalid('cannot rename active domain')],
    ['memory', { kib: 131_072, maximum: true }, invalid('cannot resize the maximum memory on an active domain')],
    ['memory', { kib: 131_072 }, 'INVALID_ARG: invalid argument: cannot set memory higher than max memory (65536 KiB)'],
    [
      'vcpus',
      { count: 2 },
      'UNSUPPORTED_BY_DRIVER: this function is not supported by the connection driver: memory cannot change the virtual CPUs of a running guest',
    ],
  ])('%s %j of a running domain', async (operation, request, text) => {
    await one.define();
    await one.call('start');
    expect(await one.refusal(operation, request)).toBe(text);
  });

  test.each([
    ['undefine', {}, invalid('cannot undefine transient domain')],
    ['autostart', { enabled: true }, invalid('cannot set autostart for transient domain')],
    ['managed-save', {}, invalid('cannot do managed save for transient domain')],
    ['memory', { kib: 1024, affect: 'config' }, invalid('transient domains do not have any persistent config')],
  ])('%s %j of a transient domain', async (operation, request, text) => {
    await one.create();
    expect(await one.refusal(operation, request)).toBe(text);
  });

  test.each([
    ['shutdown', notRunning],
    ['reboot', notRunning],
  ])('%s of a paused domain', async (operation, text) => {
    await one.define();
    await one.call('start', { paused: true });
    expect(await one.refusal(operation)).toBe(text);
  });

  test('suspend of a paused domain is done and tells nothing', async () => {
    await one.define();
    await one.call('start', { paused: true });
    const told = one.told().length;
    await one.call('suspend');
    expect(one.told()).toHaveLength(told);
  });

  test.each(['suspend', 'resume'])('%s of a domain that sleeps', async (operation) => {
    await one.define();
    await one.call('start');
    one.guest.sink({
      kind: 'state',
      to: { state: 'pmsuspended', reason: 'unknown' },
      event: { type: 'pmsuspended', detail: 'memory' },
    });
    expect(await one.refusal(operation)).toBe(invalid('domain is pmsuspended'));
  });

  test('a domain that does not live here, and a caller who knows another epoch', async () => {
    expect(await one.refusal('start')).toBe(
      `DOMAIN_NOT_FOUND: Domain not found: no domain with matching name or uuid '${uuid}'`,
    );
    await one.define();
    expect(await one.refusal('start', {}, { epoch: 2 })).toMatch(/^EPOCH_STALE: /);
    await one.call('start', {}, { epoch: 1 });
  });
});

describe('a definition', () => {
  test('given again while the guest runs changes the next boot and is told as updated', async () => {
    await one.define();
    await one.call('start');
    const { domain } = await one.define({ title: 'new' }, { id: 'c-again' });
    expect(one.told().at(-1)).toBe('defined(updated) c-again');
    expect(domain).toMatchObject({ updated: true, state: 'running' });
    expect((await one.call<{ xml: string }>('xml', { inactive: true })).xml).toContain('<title>new</title>');
    expect((await one.call<{ xml: string }>('xml')).xml).not.toContain('<title>new</title>');
    await one.restart();
    expect(one.host.get(uuid).summary().updated).toBe(true);
    await one.call('destroy');
    expect(one.host.get(uuid).summary()).toMatchObject({ updated: false, title: 'new' });
  });

  test('under a name or uuid that is taken is refused, and leaves nothing', async () => {
    const other = '00000000-0000-4000-8000-000000000002';
    await one.define();
    const failed = 'DOMAIN_EXISTS: operation failed: ';
    const define = (o: object) => one.refusal('define', { xml: xml(o), epoch: 1 });
    expect(await define({ uuid: other })).toBe(`${failed}domain 'web1' already exists with uuid ${uuid}`);
    expect(await define({ name: 'web2' })).toBe(`${failed}domain 'web1' is already defined with uuid ${uuid}`);
    expect(one.host.all()).toHaveLength(1);
    expect(readdirSync(join(one.folder, 'state', 'domains'))).toEqual([uuid]);
  });

  test('that the driver refuses leaves nothing', async () => {
    one.driver.before.set('prepare', () => {
      throw new VirtError('CONFIG_UNSUPPORTED', { detail: 'no such machine' });
    });
    expect(await one.refusal('define', { xml: xml(), epoch: 1 })).toContain('CONFIG_UNSUPPORTED');
    expect(one.host.all()).toEqual([]);
    expect(readdirSync(join(one.folder, 'state', 'domains'))).toEqual([]);
    expect(one.told()).toEqual([]);
  });

  test('that is dropped while the guest runs leaves it as a transient one, which goes when it stops', async () => {
    await one.define();
    await one.call('start');
    const { domain } = await one.call('undefine');
    expect(domain).toMatchObject({ persistent: false, state: 'running' });
    await one.call('destroy');
    expect(one.state()).toBe('absent');
    expect(one.told().map((told) => told.split(' ')[0])).toEqual([
      'defined(added)',
      'resumed(unpaused)',
      'started(booted)',
      'undefined(removed)',
      'stopped(destroyed)',
    ]);
    expect(one.host.contents().gone).toEqual([{ uuid, epoch: 1, revision: 5 }]);
  });

  test('with a managed save image is not dropped unless that goes too', async () => {
    await one.define();
    await one.call('start');
    await one.call('managed-save');
    expect(await one.refusal('undefine')).toMatch(/Refusing to undefine while domain managed save image exists/);
    await one.call('undefine', { managedSave: true });
    expect(one.state()).toBe('absent');
  });

  test('with firmware variables is dropped with them or without them, as the caller says', async () => {
    const nvram = join(one.folder, 'vars.fd');
    for (const [choice, stays] of [
      ['keep', true],
      ['delete', false],
    ] as const) {
      writeFileSync(nvram, 'vars');
      await one.define({ nvram });
      expect(await one.refusal('undefine')).toBe(invalid('cannot undefine domain with nvram; keep or delete it'));
      await one.call('undefine', { nvram: choice });
      expect(existsSync(nvram)).toBe(stays);
    }
  });

  test('gets another name in two events, under one uuid', async () => {
    await one.define();
    await one.call('rename', { name: 'web2' }, { id: 'c-rename' });
    expect(one.told(1)).toEqual(['undefined(renamed) c-rename', 'defined(renamed) c-rename']);
    expect(one.events().map(({ domain }) => domain.name)).toEqual(['web1', 'web1', 'web2']);
    await one.restart();
    expect((await one.call<{ xml: string }>('xml')).xml).toContain('<name>web2</name>');
  });

  test('that cannot be written stays as it was, in memory as on disk', async () => {
    await one.define();
    const { store } = one.host;
    jest.spyOn(store, 'saveDocument').mockImplementationOnce(() => {
      throw new VirtError('SYSTEM_ERROR', { detail: 'no space left on the device' });
    });
    expect(await one.refusal('define', { xml: xml({ title: 'new' }), epoch: 1 })).toContain('no space left');
    expect(one.host.get(uuid).summary().title).toBeUndefined();
    expect(one.told()).toHaveLength(1);
  });
});

test.each(['start', 'create'])('%s of a guest that ends while it is told tells of both', async (how) => {
  if (how === 'start') await one.define();
  const from = one.told().length;
  one.driver.taints = () => {
    one.guest.powerOff();
    return [];
  };
  if (how === 'start') await one.call('start');
  else await one.call('create', { xml: xml(), epoch: 1, paused: false });
  const types = one.told(from).map((told) => told.split(' ')[0]);
  expect(types.slice(-3)).toEqual(['started(booted)', 'shutdown(guest)', 'stopped(shutdown)']);
  expect(one.state()).toBe(how === 'start' ? 'shutoff(shutdown)' : 'absent');
});

describe('a start that fails', () => {
  const broken = (): never => {
    throw new VirtError('OPERATION_FAILED', { detail: 'no such machine' });
  };

  test('tells no event and leaves a definition shut off', async () => {
    await one.define();
    one.driver.before.set('spawned', broken);
    expect(await one.refusal('start')).toBe('OPERATION_FAILED: operation failed: no such machine');
    expect(one.told()).toHaveLength(1);
    expect(one.state()).toBe('shutoff(failed)');
    expect(one.machines.byUuid.size).toBe(0);
    one.driver.before.clear();
    await one.call('start');
    expect(one.state()).toBe('running(booted)');
  });

  test('of a transient domain leaves nothing at all', async () => {
    one.driver.before.set('start', broken);
    expect(await one.refusal('create', { xml: xml(), epoch: 1, paused: false })).toContain('no such machine');
    expect(one.state()).toBe('absent');
    expect(readdirSync(join(one.folder, 'state', 'domains'))).toEqual([]);
  });

  test('when it should run ends its guest', async () => {
    await one.define();
    one.driver.before.set('resume', broken);
    expect(await one.refusal('start')).toContain('no such machine');
    expect(one.machines.byUuid.size).toBe(0);
    expect(one.told()).toHaveLength(1);
  });

  test('holds what its guest may still write to until that is gone', async () => {
    await one.define();
    one.driver.before.set('resume', broken);
    let kills = 0;
    let isActive: boolean | undefined;
    one.driver.before.set('destroy', () => {
      isActive = one.host.get(uuid).active;
      if (++kills < 3)
        throw new VirtError('OPERATION_FAILED', { detail: 'Failed to terminate process 7 with SIGKILL' });
    });
    expect(await one.refusal('start')).toContain('no such machine');
    expect([kills, isActive]).toEqual([3, true]);
    expect(one.state()).toBe('shutoff(failed)');
  });

  /** Its next start brings it back. */
  const restored = async (): Promise<void> => {
    await one.define();
    await one.call('start');
    await one.call('managed-save');
  };

  test('after a part of its life was told ends that life: a restore that does not run', async () => {
    await restored();
    const from = one.told().length;
    one.driver.before.set('resume', broken);
    await one.refusal('start', {}, { id: 'c-start' });
    expect(one.told(from)).toEqual(['started(restored) c-start', 'stopped(failed) c-start']);
    expect(one.state()).toBe('shutoff(failed)');
    one.driver.before.clear();
    await one.call('start');
    expect(one.state()).toBe('running(restored)');
  });

  test('is not what a hypervisor that takes its time makes of a restore: it runs as soon as that answers', async () => {
    await restored();
    let times = 0;
    one.driver.before.set('resume', () => {
      if (++times < 3) throw new VirtError('OPERATION_TIMEOUT', { detail: 'it does not answer' });
    });
    await one.call('start', {}, { timeoutMs: 500 });
    expect(one.state()).toBe('running(restored)');
    expect(one.host.get(uuid).managedSave).toBe(false);
  });

  test('leaves no image of the past of a guest that may have run: it was destroyed before anybody knew', async () => {
    await restored();
    const asked = gate();
    one.driver.before.set('resume', () => {
      asked.open();
      throw new VirtError('OPERATION_TIMEOUT', { detail: 'it does not answer' });
    });
    const starting = one.refusal('start');
    await asked.wait;
    await one.call('destroy');
    await starting;
    expect(one.state()).toMatch(/^shutoff/);
    expect(one.host.get(uuid).managedSave).toBe(false);
  });

  test('because it was destroyed meanwhile is no failure of destroy', async () => {
    await one.define();
    one.driver.before.set('spawned', () => new Promise<void>(() => undefined));
    const starting = one.refusal('start');
    await until(() => one.machines.byUuid.size === 1);
    await one.call('destroy');
    expect(await starting).toBe('OPERATION_ABORTED: operation aborted: the domain was destroyed while it started');
    expect(one.state()).toBe('shutoff(failed)');
    expect(one.told()).toHaveLength(1);
  });

  test('for want of memory says how much there is', async () => {
    await one.define({ memoryKiB: 2 ** 40 });
    expect(await one.refusal('start')).toMatch(/not enough memory on this host: the domain wants 1073741824 MiB/);
    expect(one.state()).toBe('shutoff(unknown)');
  });
});

describe('saving', () => {
  const path = (): string => join(one.folder, 'web1.save');

  test('pauses, writes and ends the guest; restoring brings it back as it was', async () => {
    await one.define();
    await one.call('start');
    await one.call('save', { path: path() }, { id: 'c-save' });
    expect(one.told(3)).toEqual(['suspended(paused) c-save', 'stopped(saved) c-save']);
    expect(one.state()).toBe('shutoff(saved)');
    await one.call('restore', { path: path(), epoch: 1 }, { id: 'c-restore' });
    expect(one.told(5)).toEqual(['started(restored) c-restore', 'resumed(from-snapshot) c-restore']);
    expect(one.state()).toBe('running(restored)');
  });

  test('of a guest that fails leaves it running and no file', async () => {
    await one.define();
    await one.call('start');
    one.driver.before.set('save', () => {
      throw new VirtError('SYSTEM_ERROR', { detail: 'disk full' });
    });
    expect(await one.refusal('save', { path: path() })).toContain('disk full');
    expect(one.state()).toBe('running(save-canceled)');
    expect(existsSync(path())).toBe(false);
    const { job } = await one.call<{ job: object }>('job', { completed: true });
    expect(job).toMatchObject({ type: 'failed', operation: 'save', processed: 40 });
  });

  test('to a file that is there is refused by a driver that overwrites nothing, and the file stays', async () => {
    writeFileSync(path(), 'precious');
    await one.define();
    await one.call('start');
    await expect(one.call('save', { path: path() })).rejects.toThrow('EEXIST');
    expect(readFileSync(path(), 'utf8')).toBe('precious');
    expect(one.state()).toBe('running(save-canceled)');
  });

  test('is aborted by job-abort, and by nothing else; meanwhile its progress can be read', async () => {
    await one.define();
    await one.call('start');
    one.driver.before.set('save', () => new Promise<void>(() => undefined));
    const saving = one.refusal('managed-save', {}, { id: 'c-save' });
    await until(() => one.host.get(uuid).job?.processed === 40);
    expect(await one.refusal('suspend', {}, { timeoutMs: 200 })).toBe(
      'DOMAIN_BUSY: Timed out during operation: cannot acquire state change lock (held by monitor=managed-save)',
    );
    const { job } = await one.call<{ job: object }>('job');
    expect(job).toMatchObject({ type: 'unbounded', operation: 'save', total: 100, remaining: 60, commandId: 'c-save' });
    await one.call('job-abort');
    expect(await saving).toBe('OPERATION_ABORTED: operation aborted: save was aborted');
    expect(one.state()).toBe('running(save-canceled)');
    expect(one.told().at(-1)).toBe('resumed(unpaused) c-save');
  });

  test('is interrupted by destroy', async () => {
    await one.define();
    await one.call('start');
    one.driver.before.set('save', () => new Promise<void>(() => undefined));
    const saving = one.refusal('save', { path: path() }, { timeoutMs: 300 });
    await until(() => one.host.get(uuid).job?.processed === 40);
    await one.call('destroy', {}, { id: 'c-destroy' });
    expect(one.told().at(-1)).toBe('stopped(destroyed) c-destroy');
    await saving;
    expect(one.state()).toBe('shutoff(destroyed)');
  });

  test('in the managed place makes the next start bring it back, and the one after that boot', async () => {
    await one.define();
    await one.call('start');
    expect((await one.call('managed-save')).domain.managedSave).toBe(true);
    await one.restart();
    expect((await one.call('start')).domain.managedSave).toBe(false);
    expect(one.state()).toBe('running(restored)');
    await one.call('destroy');
    await one.call('start');
    expect(one.state()).toBe('running(booted)');
  });

  test('is forgotten by a forced boot', async () => {
    await one.define();
    await one.call('start');
    await one.call('managed-save');
    await one.call('start', { forceBoot: true });
    expect(one.state()).toBe('running(booted)');
    expect(existsSync(one.host.store.managedSaveOf(uuid))).toBe(false);
  });
});

test('a domain that leaves while a command waits for its turn is not found any more', async () => {
  await one.define();
  const held = await one.host.get(uuid).jobs.normal('modify', 'test');
  const undefining = one.call('undefine');
  const starting = one.refusal('start');
  held[Symbol.dispose]();
  await undefining;
  expect(await starting).toContain('DOMAIN_NOT_FOUND');
  expect(one.machines.spawned).toBe(0);
});

test('what nobody knows in a document is warned of by line, in the answer and in an event', async () => {
  const odd = xml().replace('<memory', '<wheel/><memory');
  const warning = 'line 5: element <wheel> inside <domain> is not supported, so it has no effect';
  const answer = await one.call<{ warnings: string[] }>('define', { xml: odd, epoch: 1 }, { id: 'c-odd' });
  expect(answer.warnings).toEqual([warning]);
  expect(one.told()).toEqual(['defined(added) c-odd', 'warning.ignored c-odd']);
  expect(one.events().at(-1)?.data).toEqual({ warnings: [warning] });
  expect(await one.refusal('define', { xml: odd, epoch: 1, validate: true })).toMatch(/^XML_INVALID_SCHEMA: .*line 5/);
  await one.call('undefine');
  await one.call('create', { xml: odd, epoch: 2, paused: false });
  expect(one.told().at(-1)).toMatch(/^warning.ignored/);
});

test('what nobody knows in a device is warned of in an event, and is not kept', async () => {
  await one.define();
  const rng = "<rng model='virtio'><backend model='random'>/dev/random</backend><wheel/></rng>";
  await one.call('attach-device', { xml: rng, affect: 'config' }, { id: 'c-rng' });
  expect(one.told(1)).toEqual(['config.device c-rng', 'warning.ignored c-rng']);
  expect(one.host.find(uuid)?.config?.devices.rngs).toHaveLength(1);
});

test('a document that names no uuid is of the domain that the call is about', async () => {
  await one.call('define', { xml: xml().replace(/<uuid>.*<\/uuid>/, ''), epoch: 1 });
  expect(one.host.find(uuid)?.config?.uuid).toBe(uuid);
});

test('arguments for QEMU taint the run, which the summary tells until it ends', async () => {
  const argument = `<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-snapshot'/></qemu:commandline>`;
  await one.call('define', { xml: xml().replace('</domain>', `${argument}</domain>`), epoch: 1 });
  const { domain } = await one.call('start', {}, { id: 'c-start' });
  expect(domain.tainted).toEqual(['custom-argv']);
  expect(one.told().at(-1)).toBe('taint.custom-argv c-start');
  expect((await one.call('destroy')).domain.tainted).toBeUndefined();
});

test('a monitor command taints the domain once', async () => {
  await one.define();
  await one.call('start');
  await one.call('qmp', { execute: 'query-status' }, { id: 'c-qmp' });
  await one.call('qmp', { execute: 'query-status' });
  expect(one.told(3)).toEqual(['taint.custom-monitor c-qmp']);
  expect(await one.refusal('qmp', {})).toContain('give either execute or hmp');
});
