import { abortJob, beginBackup, getBackupXml, getJob, VirtError, type JobInfo } from '@virtbus/shared';
import { BackupsInMemory, startWithDisk } from './testing/memory-backups';
import { OneHost, until } from './testing/one-host';

let one: OneHost;
let backups: BackupsInMemory;
beforeEach(async () => {
  one = await OneHost.open();
  backups = new BackupsInMemory();
  backups.giveTo(one.driver);
  await startWithDisk(one);
});
afterEach(() => one[Symbol.dispose]());

const begin = (id?: string) => one.call(beginBackup.operation, beginBackup.request.parse({}), id ? { id } : {});
const job = async (completed = false): Promise<JobInfo> =>
  (await one.call<{ job: JobInfo }>(getJob.operation, { completed })).job;

test('it is the domain’s job from its command to its end; meanwhile the domain can be changed, but not saved', async () => {
  await begin('cmd-1');
  expect(await job()).toMatchObject({
    type: 'bounded',
    operation: 'backup',
    commandId: 'cmd-1',
    processed: 40,
    total: 100,
  });
  expect((await one.call<{ xml: string }>(getBackupXml.operation)).xml).toContain("<target file='/i/a.");
  expect(await one.refusal(beginBackup.operation, beginBackup.request.parse({}))).toContain(
    'another backup job is already running',
  );
  await one.call('suspend');
  const save = { path: `${one.folder}/image` };
  expect(await one.refusal('save', save, { timeoutMs: 300 })).toContain('held by monitor=backup-begin');
  backups.end(one.guest, 'completed');
  expect(await job()).toMatchObject({ type: 'none' });
  expect(await job(true)).toMatchObject({ type: 'completed', operation: 'backup', commandId: 'cmd-1', remaining: 0 });
  expect(await one.refusal(getBackupXml.operation)).toContain('NO_DOMAIN_BACKUP');
  expect(one.told().at(-1)).toBe('job.completed');
  await one.call('save', save);
});

test('it ends by abort, and with its guest', async () => {
  await begin();
  await one.call(abortJob.operation);
  expect(await job(true)).toMatchObject({ type: 'cancelled', processed: 40 });
  await begin();
  await job();
  await one.call('destroy', { graceful: false });
  expect(await job(true)).toMatchObject({ type: 'failed', error: 'the guest has ended', processed: 40 });
});

test('a driver that was killed finds it again, and its command has its answer', async () => {
  const hangs = backups.hangs('after');
  void begin('cmd-1');
  await hangs;
  await one.restart({ prepare: (driver) => backups.giveTo(driver) });
  expect(await job()).toMatchObject({ type: 'bounded', operation: 'backup', commandId: 'cmd-1' });
  await begin('cmd-1');
  backups.end(one.guest, 'failed');
  expect(await job(true)).toMatchObject({ type: 'failed', commandId: 'cmd-1' });
});

describe('a backup of which a hypervisor that hangs does not say whether it has begun', () => {
  const cutShort = async (when: 'before' | 'after'): Promise<void> => {
    const hangs = backups.hangs(when);
    void begin('cmd-1');
    await hangs;
    backups.silent = true;
    await one.restart({ prepare: (driver) => backups.giveTo(driver) });
    expect(await one.refusal('save', { path: `${one.folder}/image` }, { timeoutMs: 300 })).toContain(
      'held by monitor=backup-begin',
    );
    expect(await one.call('answer', { command: 'cmd-1' })).toEqual({ state: 'pending' });
    backups.silent = false;
  };
  const becomes = (state: string): Promise<void> =>
    until(async () => (await one.call<{ state: string }>('answer', { command: 'cmd-1' })).state === state, 30_000);

  test('is taken up as soon as it does', async () => {
    await cutShort('after');
    await becomes('answered');
    expect(await job()).toMatchObject({ type: 'bounded', commandId: 'cmd-1' });
    backups.end(one.guest, 'completed');
    expect(await job()).toMatchObject({ type: 'none' });
  });

  test('has ended meanwhile: that is told, and its command has its answer', async () => {
    await cutShort('after');
    backups.endsUnseen = true;
    await becomes('answered');
    expect(await job(true)).toMatchObject({ type: 'completed' });
    expect(one.told().filter((event) => event.startsWith('job'))).toEqual(['job.completed']);
  });

  test('has come to nothing where it says no more, and that is told', async () => {
    await cutShort('before');
    const from = one.told().length;
    await becomes('unknown');
    expect(one.told(from)).toEqual(['job.failed cmd-1']);
    expect(await job()).toMatchObject({ type: 'none' });
    backups.before = () => undefined;
    await begin('cmd-2');
    expect(one.recordOnDisk().pending).toBeUndefined();
  });

  test('leaves nothing behind when the guest ends without a word', async () => {
    await cutShort('before');
    backups.silent = true;
    await one.call('destroy', { graceful: false });
    await becomes('unknown');
    await one.call('start', { paused: false, forceBoot: false });
    expect(await job()).toMatchObject({ type: 'none' });
  });
});

test('a backup that ended while no driver was there is told, and its command has its answer', async () => {
  const hangs = backups.hangs('after');
  void begin('cmd-1');
  await hangs;
  backups.endsUnseen = true;
  await one.restart({ prepare: (driver) => backups.giveTo(driver) });
  expect(await one.call('answer', { command: 'cmd-1' })).toMatchObject({ state: 'answered' });
  expect(await job()).toMatchObject({ type: 'none' });
  expect(one.told().at(-1)).toBe('job.completed');
});

test('what cannot be begun leaves the domain free', async () => {
  backups.before = () => {
    throw new Error('QEMU says no');
  };
  await expect(begin()).rejects.toThrow('QEMU says no');
  expect(await job()).toMatchObject({ type: 'none' });
  const since = '<domainbackup><incremental>monday</incremental></domainbackup>';
  const refusal = (given: string) => one.refusal(beginBackup.operation, beginBackup.request.parse({ xml: given }));
  expect(await refusal(since)).toContain("no domain checkpoint with matching name 'monday'");
  backups.before = () => undefined;
  await begin();
});

test('an end that cannot be told has not happened: it is the domain’s job until it is', async () => {
  await begin('cmd-1');
  const full = jest.spyOn(one.host.journalOnDisk, 'append').mockImplementationOnce(() => {
    throw new VirtError('SYSTEM_ERROR', { detail: 'no space left on the device' });
  });
  expect(() => backups.end(one.guest, 'completed')).toThrow('no space left');
  full.mockRestore();
  expect(await one.refusal('save', { path: `${one.folder}/image` }, { timeoutMs: 300 })).toContain('backup-begin');
  backups.end(one.guest, 'completed');
  expect(await job(true)).toMatchObject({ type: 'completed', commandId: 'cmd-1' });
  expect(one.told().filter((event) => event.startsWith('job'))).toEqual(['job.completed']);
});
