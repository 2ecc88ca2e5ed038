/** The engine against a QEMU that says what a test has it say: early words, lost answers, a process that was killed. */
import { parseDomain, type Disk, type Domain } from '@virtbus/domain-xml';
import { VirtError, type BlockJobState } from '@virtbus/shared';
import { silent } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import type { QemuGuest } from '../guest';
import { monitorFailure } from '../monitor-failure';
import { MonitorClosed, QmpError } from '../qmp';
import { JobEngine } from './engine';
import type { SavedJob } from './saved-job';

interface Listed {
  id: string;
  status: string;
  error?: string;
}

const documentOn = (image = ''): string =>
  '<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os>' +
  `<devices><disk type="file"><source file="${image}"/><target dev="vda" bus="virtio"/></disk></devices></domain>`;
const onTarget = (disk: Disk): Disk => ({ ...disk, source: { ...disk.source!, file: '/b' } });

/** What was asked of QEMU, written to disk and told, in that order. */
class Stand {
  readonly did: string[] = [];
  readonly listed: Listed[] = [];
  /** Commands that QEMU refuses. */
  readonly refused = new Set<string>();
  pivoted = false;
  /** What is finalized concludes, and what is dismissed is gone. */
  dismisses = false;
  /** What happens while QEMU does a command. */
  readonly meanwhile = new Map<string, () => void>();
  /** What follows on the end of a job looks at the nodes. */
  looks = false;
  /** What the end of a job means for others. */
  afterwards = (): void => undefined;
  /** Its monitor is at its end. */
  closes = false;
  readonly logged: string[] = [];
  /** It answers nothing. */
  hangs = false;
  /** What cannot be written: the disk is full. */
  readonly full = new Set<'saved' | 'told'>();
  /** The image that the definition names. */
  defined: string | undefined = '/a';
  /** How often it was asked for its jobs. */
  asked = 0;
  readonly saved: { blockJobs?: SavedJob[]; owners: [] } = { owners: [] };
  readonly engine: JobEngine;

  constructor(before: SavedJob[] = [], found = before.length > 0) {
    this.saved.blockJobs = before;
    const guest = {
      live: parseDomain(documentOn('/a'), { mode: 'live' }).domain,
      saved: this.saved,
      log: Object.assign(Object.create(silent) as typeof silent, {
        error: () => void this.logged.push('error'),
        debug: () => void this.logged.push('debug'),
      }),
      ask: (command: string, args?: object) => this.ask(command, args),
      askRaw: (command: string, args?: object) => this.ask(command, args),
      tellSaved: () => this.write('saved', this.states()),
      tellLive: () => this.write('saved', this.states()),
      tell: (news: { type?: string; event?: { type: string }; definition?: (config: Domain) => Domain }) => {
        const defined = this.edited(news.definition);
        this.write('told', news.event?.type ?? news.type ?? '');
        this.defined = defined;
      },
    } as unknown as QemuGuest;
    const kind = {
      happened: () => Promise.resolve(this.pivoted),
      pivoted: () => ({ live: (disk: Disk) => disk, definition: onTarget }),
      beforeFinal: async () => void this.did.push('bitmaps'),
      finish: async () => void (this.looks && (await look(this))),
      afterwards: async () => this.afterwards(),
    };
    this.engine = new JobEngine(guest, { pull: kind, copy: kind }, found);
    Object.assign(guest, { blockJobs: this.engine });
  }

  private write(what: 'saved' | 'told', words: string): void {
    if (this.full.has(what))
      throw new VirtError('SYSTEM_ERROR', { detail: 'cannot write /s: no space left on the device' });
    this.did.push(`${what} ${words}`);
  }

  /** The image that the definition is to name. */
  private edited(edit: (config: Domain) => Domain = (config) => config): string | undefined {
    const { domain } = parseDomain(documentOn(this.defined), { mode: 'inactive' });
    return edit(domain).devices.disks[0]?.source?.file;
  }

  private states(): string {
    return this.engine.jobs.map(({ state }) => state).join();
  }

  private async ask(command: string, args?: object): Promise<unknown> {
    if (this.hangs) throw new VirtError('OPERATION_TIMEOUT', { detail: 'QEMU does not answer' });
    if (this.closes) throw monitorFailure(new MonitorClosed(), command, 'g');
    if (command === 'query-jobs') {
      this.asked += 1;
      return this.listed.map((one) => ({ ...one }));
    }
    this.did.push(command);
    this.meanwhile.get(command)?.();
    const { id } = (args ?? {}) as { id?: string };
    const at = this.listed.findIndex((one) => one.id === id);
    if (this.dismisses && command === 'job-finalize') this.listed[at]!.status = 'concluded';
    if (this.dismisses && command === 'job-dismiss') this.listed.splice(at, 1);
    if (!this.refused.has(command)) return {};
    const cause = new QmpError(command, 'GenericError', 'no');
    throw new VirtError('OPERATION_FAILED', { detail: 'no' }, { cause });
  }
}

/** `query-named-block-nodes` as the guest sends it. */
const look = (stand: Stand): Promise<unknown> =>
  stand.engine.lookAtNodes(() => Promise.resolve(stand.did.push('nodes')));

const job = (type: 'pull' | 'copy', state: BlockJobState, more: Partial<SavedJob> = {}): SavedJob => ({
  ...{ id: 'j', type, disk: 'vda', state, files: [], details: {} },
  ...more,
});
/** As if read from disk by the next process. */
const kept = (one: SavedJob): SavedJob[] => [JSON.parse(JSON.stringify(one)) as SavedJob];

const isTold = (did: string): boolean => did.startsWith('told');
/** What a disk stands on, without an event. */
const imagesAlone = 'told ';

test('a job is on disk before QEMU hears of it, and so is the wish to pivot', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('copy', 'new')], async () => stand.did.push('blockdev-mirror'));
  stand.engine.heard('j', 'ready');
  await stand.engine.pivot(stand.engine.ofDisk('vda')!);
  expect(stand.did).toEqual([
    'saved new',
    'blockdev-mirror',
    'saved running',
    'told ready',
    'saved pivoting',
    'job-complete',
    'saved pivoting',
  ]);
});

test('while QEMU holds back what the guest writes the definition comes to name the target; then QEMU may go on', async () => {
  const before = kept(job('copy', 'pivoting', { told: true, finalizedByUs: true }));
  const stand = new Stand(before);
  stand.listed.push({ id: 'j', status: 'pending' });
  await stand.engine.catchUp();
  expect(stand.did).toEqual(['told ', 'told ', 'bitmaps', 'job-finalize']);
  expect([before[0]?.defined?.source?.file, stand.defined]).toEqual(['/a', '/b']);
  // One that is given up has no target to name.
  const given = new Stand(kept(job('copy', 'aborting', { told: true, finalizedByUs: true })));
  given.listed.push({ id: 'j', status: 'pending' });
  await given.engine.catchUp();
  expect(given.did).toEqual(['job-finalize']);
});

test('of a job whose guest ends nothing is told as an error; of one that QEMU will not let end it is', async () => {
  const stand = new Stand([job('copy', 'running', { finalizedByUs: true })], false);
  stand.closes = true;
  stand.engine.heard('j', 'concluded');
  await eventually(() => stand.logged.length, 1);
  stand.closes = false;
  stand.refused.add('job-finalize');
  stand.engine.heard('j', 'pending');
  await eventually(() => stand.logged, ['debug', 'error']);
  stand.engine.close();
});

test('a job that is ready, and over, before its command is answered is followed all the same', async () => {
  const stand = new Stand();
  const ended = stand.engine.until('j', []);
  await stand.engine.begin([job('pull', 'new')], async () => {
    stand.listed.push({ id: 'j', status: 'concluded' });
    stand.engine.heard('j', 'running');
    stand.engine.heard('j', 'concluded');
    stand.engine.heard('j', 'concluded');
  });
  await expect(ended).resolves.toEqual({ kind: 'completed' });
  expect(stand.engine.jobs).toEqual([]);
  expect(stand.did.filter((did) => did === 'told completed')).toHaveLength(1);
  expect(stand.did.indexOf('saved concluded')).toBeLessThan(stand.did.indexOf('job-dismiss'));
});

test('a pull that has done its work is finalized and dismissed before anybody looks at the nodes', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('pull', 'new', { finalizedByUs: true })], () => Promise.resolve());
  stand.dismisses = true;
  stand.listed.push({ id: 'j', status: 'pending' });
  // Somebody comes to look in that very moment.
  stand.meanwhile.set('job-finalize', () => void look(stand));
  const ended = stand.engine.until('j', []);
  stand.engine.heard('j', 'pending');
  await ended;
  const order = ['job-finalize', 'saved concluded', 'job-dismiss', 'nodes'];
  expect(stand.did.filter((did) => order.includes(did))).toEqual(order);
  expect(stand.did.filter(isTold)).toEqual(['told completed']);
});

test('a job is made final once, after what has to be done before', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('pull', 'new', { finalizedByUs: true })], () => Promise.resolve());
  stand.listed.push({ id: 'j', status: 'pending' });
  stand.dismisses = true;
  const ended = stand.engine.until('j', []);
  stand.engine.heard('j', 'pending');
  stand.engine.heard('j', 'pending');
  await ended;
  expect(stand.did.filter((did) => did === 'bitmaps' || did === 'job-finalize')).toEqual(['bitmaps', 'job-finalize']);
});

test('who looks at the nodes has what concluded unheard written down and dismissed before; its end is told', async () => {
  const stand = new Stand(kept(job('pull', 'running')), false);
  stand.listed.push({ id: 'j', status: 'concluded', error: 'No space left on device' });
  stand.dismisses = true;
  const ended = stand.engine.until('j', []);
  await look(stand);
  expect(stand.did.slice(0, 3)).toEqual(['saved concluded', 'job-dismiss', 'nodes']);
  await expect(ended).resolves.toEqual({ kind: 'failed', error: 'No space left on device' });
});

test('the nodes are not looked at while a pull is being cancelled', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
  stand.listed.push({ id: 'j', status: 'running' });
  stand.dismisses = true;
  await stand.engine.abort(stand.engine.ofDisk('vda')!);
  const looked = look(stand);
  const { asked } = stand;
  await eventually(
    () => stand.asked,
    (now) => now >= asked + 3,
  );
  expect(stand.did).not.toContain('nodes');
  stand.listed[0] = { id: 'j', status: 'concluded', error: 'Operation canceled' };
  await looked;
  expect(stand.did.indexOf('job-dismiss')).toBeLessThan(stand.did.indexOf('nodes'));
});

test('pulls that concluded while we were dead are all written down and dismissed before the first is finished', async () => {
  const before = ['vda', 'vdb'].map((disk) => job('pull', 'running', { id: disk, disk }));
  const stand = new Stand(before, true);
  stand.looks = true;
  stand.dismisses = true;
  for (const { id } of before) stand.listed.push({ id, status: 'concluded' });
  await expect(stand.engine.catchUp()).resolves.toHaveLength(2);
  expect(stand.did.filter((did) => did === 'told completed')).toHaveLength(2);
  expect(stand.did.filter((did) => did === 'job-dismiss' || did === 'nodes')).toEqual([
    ...['job-dismiss', 'job-dismiss'],
    ...['nodes', 'nodes'],
  ]);
  expect(stand.did.indexOf('saved concluded,concluded')).toBeLessThan(stand.did.indexOf('job-dismiss'));
});

test('who comes to wait for a job that is over is told how it ended', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
  stand.listed.push({ id: 'j', status: 'concluded' });
  const ended = stand.engine.until('j', []);
  stand.engine.heard('j', 'concluded');
  await ended;
  expect(stand.engine.jobs).toEqual([]);
  await expect(stand.engine.until('j', ['ready', 'concluded'])).resolves.toEqual({ kind: 'completed' });
});

test('a job that a QEMU which hung has never heard of is gone when it answers again', async () => {
  const stand = new Stand();
  stand.hangs = true;
  await expect(stand.engine.begin([job('pull', 'new')], () => Promise.reject(new Error('late')))).rejects.toThrow(
    'late',
  );
  expect(stand.engine.ofDisk('vda')).toBeDefined();
  stand.hangs = false;
  await eventually(() => stand.engine.ofDisk('vda'), undefined);
  expect(stand.did.filter(isTold)).toEqual(['told failed']);
  await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
  expect(stand.engine.ofDisk('vda')).toMatchObject({ state: 'running' });
});

test('a job that QEMU refuses leaves nothing; one whose answer is lost stays when QEMU has it', async () => {
  const refused = new Stand();
  await expect(refused.engine.begin([job('pull', 'new')], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(refused.engine.jobs).toEqual([]);
  expect(refused.did.filter(isTold)).toEqual([imagesAlone]);
  const lost = new Stand();
  lost.listed.push({ id: 'j', status: 'running' });
  await expect(lost.engine.begin([job('pull', 'new')], () => Promise.reject(new Error('late')))).rejects.toThrow(
    'late',
  );
  expect(lost.engine.ofDisk('vda')).toBeDefined();
});

test('a disk has one job; a pivot needs one that is ready, and is not begun twice', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('copy', 'new')], () => Promise.resolve());
  const second = stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
  await expect(second).rejects.toThrow("disk 'vda' already in active block job");
  const mirror = stand.engine.ofDisk('vda')!;
  await expect(stand.engine.pivot(mirror)).rejects.toMatchObject({ code: 'BLOCK_COPY_ACTIVE' });
  stand.engine.heard('j', 'ready');
  await stand.engine.pivot(mirror);
  await expect(stand.engine.abort(mirror)).rejects.toThrow("block job on disk 'vda' is still being ended");
  const pull = new Stand();
  await pull.engine.begin([job('pull', 'new')], () => Promise.resolve());
  await expect(pull.engine.pivot(pull.engine.ofDisk('vda')!)).rejects.toThrow("job type 'pull' does not support pivot");
});

test('a pivot that QEMU refuses leaves the job ready', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('copy', 'new')], () => Promise.resolve());
  stand.engine.heard('j', 'ready');
  stand.refused.add('job-complete');
  await expect(stand.engine.pivot(stand.engine.ofDisk('vda')!)).rejects.toThrow('no');
  expect(stand.engine.ofDisk('vda')?.state).toBe('ready');
});

test('a pull that is given up, of which QEMU may not have heard that, is cancelled where it waits for its end', async () => {
  const stand = new Stand(kept(job('pull', 'aborting', { finalizedByUs: true })));
  stand.listed.push({ id: 'j', status: 'pending' });
  await stand.engine.catchUp();
  expect(stand.did).toContain('block-job-cancel');
  expect(stand.did).not.toContain('job-finalize');
  expect(stand.did).not.toContain('bitmaps');
});

test('after a restart nothing is acted on before QEMU was asked', async () => {
  const stand = new Stand(kept(job('copy', 'running')));
  stand.engine.heard('j', 'ready');
  expect(stand.did).toEqual([]);
  stand.listed.push({ id: 'j', status: 'ready' });
  await expect(stand.engine.catchUp()).resolves.toHaveLength(1);
  expect(stand.engine.ofDisk('vda')?.state).toBe('ready');
});

test('a job that we died with before QEMU heard of it never was', async () => {
  const stand = new Stand(kept(job('copy', 'new')));
  await expect(stand.engine.catchUp()).resolves.toEqual([]);
  expect(stand.engine.jobs).toEqual([]);
  // What was held for it is held no longer: whoever holds it hears of that by the event.
  expect(stand.did.filter(isTold)).toEqual(['told failed']);
});

test.each([
  ['pivoting', false, 'completed'],
  ['aborting', true, 'canceled'],
  ['ready', true, 'completed'],
  ['ready', false, 'canceled'],
] as const)(
  'a mirror that concluded while it was %s and we were dead (graph: %s) was %s',
  async (state, pivoted, end) => {
    const stand = new Stand(kept(job('copy', state)));
    stand.listed.push({ id: 'j', status: 'concluded' });
    stand.pivoted = pivoted;
    await stand.engine.catchUp();
    expect(stand.did).toContain(`told ${end}`);
    expect(stand.engine.jobs).toEqual([]);
  },
);

test.each([
  [true, 'completed'],
  [false, 'failed'],
] as const)('a job that QEMU no longer knows is judged by the graph: %s', async (happened, end) => {
  const stand = new Stand(kept(job('pull', 'running')));
  stand.pivoted = happened;
  await stand.engine.catchUp();
  expect(stand.did).toContain(`told ${end}`);
});

test('an end that we knew and had not told is told by the next process', async () => {
  const stand = new Stand(
    kept(job('pull', 'concluded', { end: { kind: 'failed', error: 'No space left on device' } })),
  );
  await stand.engine.catchUp();
  expect(stand.did).toContain('told failed');
});

test('a wish that QEMU may not have heard is told again, one that it has heard is not', async () => {
  const untold = new Stand(kept(job('copy', 'aborting')));
  untold.listed.push({ id: 'j', status: 'ready' });
  await untold.engine.catchUp();
  expect(untold.did).toContain('block-job-cancel');
  const told = new Stand(kept(job('copy', 'aborting', { told: true })));
  told.listed.push({ id: 'j', status: 'ready' });
  await told.engine.catchUp();
  expect(told.did).not.toContain('block-job-cancel');
  const pivot = new Stand(kept(job('copy', 'pivoting')));
  pivot.listed.push({ id: 'j', status: 'ready' });
  jest.useFakeTimers();
  await pivot.engine.catchUp();
  await jest.runAllTimersAsync();
  jest.useRealTimers();
  expect(pivot.did).toContain('job-complete');
});

test('a pivot given again under its id after a restart is joined, or comes to what the job came to', async () => {
  const wanted = kept(job('copy', 'pivoting', { told: true, endedBy: 'c' }));
  const stand = new Stand(wanted);
  stand.listed.push({ id: 'j', status: 'ready' });
  await stand.engine.catchUp();
  const ended = stand.engine.until('j', []);
  await stand.engine.pivot(stand.engine.ofDisk('vda')!, 'c');
  expect(stand.did).not.toContain('job-complete');
  expect(stand.engine.endBy('c')).toBeUndefined();
  stand.listed[0]!.status = 'concluded';
  stand.pivoted = true;
  stand.engine.heard('j', 'concluded');
  await expect(ended).resolves.toEqual({ kind: 'completed' });
  expect(stand.engine.endBy('c')).toEqual({ kind: 'completed' });
  expect(stand.engine.endBy('another')).toBeUndefined();
});

describe('on a disk that is full', () => {
  const full = 'cannot write /s: no space left on the device';

  test('a job is refused with that as the reason, and QEMU has not heard of it; with room again it begins', async () => {
    const stand = new Stand();
    stand.full.add('saved');
    const begin = () => stand.engine.begin([job('pull', 'new')], async () => stand.did.push('block-stream'));
    await expect(begin()).rejects.toThrow(full);
    expect(stand.engine.jobs).toEqual([]);
    expect(stand.did).toEqual([]);
    stand.full.clear();
    await begin();
    expect(stand.did).toEqual(['saved new', 'block-stream', 'saved running']);
  });

  test('one that QEMU refuses then stays until that can be told; its command has the true reason', async () => {
    const stand = new Stand();
    const begun = stand.engine.begin([job('pull', 'new')], async () => {
      stand.full.add('told');
      throw new Error('no');
    });
    await expect(begun).rejects.toThrow('no');
    stand.full.clear();
    await eventually(() => stand.engine.ofDisk('vda'), undefined);
    expect(stand.did.filter(isTold)).toEqual(['told failed']);
  });

  test.each(['saved', 'told'] as const)(
    'the end of a job (%s) is taken down once there is room, and QEMU is not asked all the time until then',
    async (what) => {
      const stand = new Stand();
      await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
      stand.listed.push({ id: 'j', status: 'concluded' });
      stand.full.add(what);
      const ended = stand.engine.until('j', []);
      stand.engine.heard('j', 'concluded');
      await eventually(() => stand.asked > 2, true);
      expect(stand.asked).toBeLessThan(8);
      expect(stand.engine.ofDisk('vda')?.state).toBe(what === 'saved' ? 'running' : 'concluded');
      expect(stand.did.filter(isTold)).toEqual([]);
      // QEMU forgets it only when its end is on disk.
      expect(stand.did.includes('job-dismiss')).toBe(what === 'told');
      stand.full.clear();
      await expect(ended).resolves.toEqual({ kind: 'completed' });
      expect(stand.engine.jobs).toEqual([]);
      expect(stand.did.filter(isTold)).toEqual(['told completed']);
    },
  );

  test('what the end of a job means for others is done later; whoever waits for the job does not wait for that', async () => {
    const stand = new Stand();
    let tries = 0;
    stand.afterwards = () => {
      if (++tries === 1) throw new VirtError('SYSTEM_ERROR', { detail: full });
    };
    await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
    stand.listed.push({ id: 'j', status: 'concluded' });
    const ended = stand.engine.until('j', []);
    stand.engine.heard('j', 'concluded');
    await expect(ended).resolves.toEqual({ kind: 'completed' });
    await eventually(() => tries, 2);
  });

  test('what ended then is told by the next process, too', async () => {
    const stand = new Stand();
    await stand.engine.begin([job('pull', 'new')], () => Promise.resolve());
    stand.listed.push({ id: 'j', status: 'concluded', error: 'No space left on device' });
    stand.full.add('told');
    stand.engine.heard('j', 'concluded');
    await eventually(() => stand.logged.includes('error'), true);
    stand.engine.close();
    const next = new Stand(kept(stand.saved.blockJobs![0]!));
    await next.engine.catchUp();
    expect(next.did.filter(isTold)).toEqual(['told failed']);
    expect(next.engine.jobs).toEqual([]);
  });

  test('no guest goes over to an image before the definition names it', async () => {
    const stand = new Stand(kept(job('copy', 'pivoting', { told: true, finalizedByUs: true })));
    stand.listed.push({ id: 'j', status: 'pending' });
    stand.full.add('told');
    await stand.engine.catchUp();
    expect(stand.did).not.toContain('job-finalize');
    stand.full.clear();
    await eventually(() => stand.did.includes('job-finalize'), true);
    expect(stand.defined).toBe('/b');
  });

  test('a wish that cannot be written down is none; but a job whose end QEMU tells of can be given up', async () => {
    const stand = new Stand();
    await stand.engine.begin([job('copy', 'new')], () => Promise.resolve());
    stand.engine.heard('j', 'ready');
    stand.full.add('saved');
    const mirror = stand.engine.ofDisk('vda')!;
    await expect(stand.engine.pivot(mirror, 'c')).rejects.toThrow(full);
    await expect(stand.engine.abort(mirror, 'c')).rejects.toThrow(full);
    expect(mirror.state).toBe('ready');
    stand.full.clear();
    await stand.engine.pivot(mirror, 'c');
    expect(stand.did).toContain('job-complete');
    const pull = new Stand();
    await pull.engine.begin([job('pull', 'new')], () => Promise.resolve());
    pull.full.add('saved');
    await pull.engine.abort(pull.engine.ofDisk('vda')!);
    expect(pull.did).toContain('block-job-cancel');
  });
});

test('who waits for a job learns of the end of its guest', async () => {
  const stand = new Stand();
  await stand.engine.begin([job('copy', 'new')], () => Promise.resolve());
  const ready = stand.engine.until('j', ['ready']);
  stand.engine.close();
  await expect(ready).rejects.toThrow('domain is not running');
});
