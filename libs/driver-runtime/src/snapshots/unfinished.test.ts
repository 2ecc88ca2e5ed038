import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diskImages } from '@virtbus/domain-xml';
import { createSnapshot, revertSnapshot, VirtError } from '@virtbus/shared';
import type { SnapshotDoing } from '../record';
import { gate, OneHost, until, uuid, xml } from '../testing/one-host';
import type { SnapshotsFacet } from './facet';

/** What the hypervisor says when it is asked what became of an operation. */
let answer: () => Promise<boolean>;
let one: OneHost;
beforeEach(async () => {
  const snapshots = {
    wasTaken: () => answer(),
    giveUpMerge: () => answer().then(() => undefined),
  } as Partial<SnapshotsFacet>;
  one = await OneHost.open('h1', (driver) => Object.assign(driver.facets, { snapshots }));
  await one.define();
  await one.call('start');
});
afterEach(() => one[Symbol.dispose]());

const silent = (): Promise<never> =>
  Promise.reject(new VirtError('OPERATION_TIMEOUT', { detail: 'QEMU does not answer' }));

const command = { id: 'c1', operation: 'snapshot-create' };
const creation: SnapshotDoing = {
  ...{ what: 'create', metadata: true, begun: true, reuse: false, online: true },
  xml: `<domainsnapshot><name>kept</name><state>running</state><creationTime>1</creationTime>
    <disks><disk name='vda' snapshot='internal'/></disks><active>1</active></domainsnapshot>`,
};

/** The driver died over it. */
const restarted = (doing: SnapshotDoing, claim = ''): Promise<void> =>
  one.restart({
    meanwhile: () =>
      one.writeRecord({
        ...one.recordOnDisk(),
        pending: command,
        snapshot: { doing },
        ...(claim && { disks: { 'base:vda': { claim } } }),
      }),
  });

const names = async (): Promise<string[]> =>
  (await one.call<{ snapshots: { name: string }[] }>('snapshot-list')).snapshots.map(({ name }) => name);

describe('what became of an operation on a snapshot of a guest that says nothing', () => {
  test('is found out when it answers; nobody works on the domain before', async () => {
    answer = silent;
    await restarted(creation);
    expect(await one.refusal('suspend', {}, { timeoutMs: 200 })).toMatch(/^DOMAIN_BUSY: .*snapshot-create/);
    expect(one.recordOnDisk()).toMatchObject({ pending: command, snapshot: { doing: { what: 'create' } } });
    answer = () => Promise.resolve(true);
    await one.call('suspend');
    expect(await names()).toEqual(['kept']);
    expect(one.recordOnDisk().snapshot).toEqual({ current: 'kept' });
    expect(one.recordOnDisk().pending).toBeUndefined();
    expect(await one.call('snapshot-create', {}, { id: command.id })).toMatchObject({ snapshot: { name: 'kept' } });
  });

  test('is found out by the next driver, too', async () => {
    answer = silent;
    await restarted(creation);
    answer = () => Promise.resolve(true);
    await one.restart();
    expect(await names()).toEqual(['kept']);
    await one.call('suspend');
  });

  test('keeps what it holds until its jobs are known to have ended', async () => {
    const jobs = gate();
    answer = () => jobs.wait.then(() => true);
    await restarted({ what: 'delete', command: command.id }, command.id);
    expect(one.recordOnDisk().disks).toHaveProperty('base:vda');
    const from = one.told().length;
    jobs.open();
    await until(() => one.recordOnDisk().snapshot?.doing === undefined);
    expect(one.recordOnDisk().disks).toEqual({});
    // Storage lets go of it by that.
    await until(() => one.told(from).includes(`job.failed ${command.id}`));
  }, 10_000);

  test('is known when it ends without a word', async () => {
    answer = silent;
    await restarted({ what: 'delete', command: command.id }, command.id);
    await one.call('destroy');
    await one.call('start');
    expect(one.recordOnDisk().snapshot?.doing).toBeUndefined();
  });
});

test.each([
  [false, []],
  [true, ['kept']],
] as const)(
  'one of memory alone, whose guest is gone too, is there if its memory was whole: %s',
  async (begun, kept) => {
    const file = join(one.folder, 'memory');
    writeFileSync(file, 'half');
    const xml = `<domainsnapshot><name>kept</name><state>running</state><creationTime>1</creationTime>
    <memory snapshot='external' file='${file}'/><disks><disk name='vda' snapshot='no'/></disks><active>1</active></domainsnapshot>`;
    const record = { ...one.recordOnDisk(), pending: command, snapshot: { doing: { ...creation, xml, begun } } };
    await one.restart({
      meanwhile: () => {
        one.writeRecord(record);
        one.machines.end(uuid, 'crashed', 'failed');
      },
    });
    expect(await names()).toEqual(kept);
    expect(existsSync(file)).toBe(begun);
  },
);

test('a snapshot that a driver died over after it had told of it is not told of again', async () => {
  answer = () => Promise.resolve(true);
  const from = one.told().length;
  await restarted(creation);
  const { revision, ...record } = one.recordOnDisk();
  expect(one.told(from)).toEqual(['snapshot.created']);
  for (const done of ['the record', 'nothing more']) {
    // As it was when the event was in the journal, and the record was not there yet.
    const before = { ...record, revision: revision - 1, pending: command, snapshot: { doing: creation } };
    await one.restart({ meanwhile: () => done === 'the record' && one.writeRecord(before) });
    expect(one.told(from)).toEqual(['snapshot.created']);
    expect(one.recordOnDisk()).toMatchObject({ revision, snapshot: { current: 'kept' } });
  }
  await one.call('suspend');
  expect(one.told(from + 1)).toEqual([expect.stringMatching(/^suspended/)]);
});

describe('a deletion that a driver died over', () => {
  const deletion = { id: 'c2', operation: 'snapshot-delete' };
  const made = async (): Promise<void> => {
    answer = () => Promise.resolve(true);
    await restarted(creation);
    expect(await names()).toEqual(['kept']);
  };
  /** Again, at that moment of it. @param left those that are not told of */
  const diedOver = (left: string[], isDropped: boolean): Promise<void> =>
    one.restart({
      meanwhile: () => {
        const doing: SnapshotDoing = { what: 'delete', command: deletion.id, names: left };
        one.writeRecord({ ...one.recordOnDisk(), pending: deletion, snapshot: { doing } });
        if (isDropped) rmSync(join(one.host.store.folderOf(uuid), 'snapshots'), { recursive: true });
      },
    });

  test.each([
    ['was to be told', ['kept'], ['snapshot.deleted c2']],
    ['was to be answered', [], []],
  ])(
    'has been done when its description is gone: what %s is told, and the command given again has its answer',
    async (_, left, told) => {
      await made();
      const from = one.told().length;
      await diedOver(left, true);
      expect(one.told(from).filter((event) => event.startsWith('snapshot'))).toEqual(told);
      expect(await one.call('snapshot-delete', { name: 'kept' }, { id: deletion.id })).toHaveProperty('domain');
      expect(one.recordOnDisk().snapshot?.doing).toBeUndefined();
    },
  );

  test('can be asked for again when it is there', async () => {
    await made();
    await diedOver(['kept'], false);
    expect(await names()).toEqual(['kept']);
    expect(one.recordOnDisk().snapshot?.doing).toBeUndefined();
  });
});

test('a snapshot that a driver died over between its documents and its record is in each of them once', async () => {
  answer = () => Promise.resolve(true);
  const over = (file: string): string =>
    `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${file}'/><target dev='vda' bus='virtio'/></disk>`;
  const documented = xml({ devices: over('/i/overlay') });
  await one.restart({
    meanwhile: () => {
      const folder = one.host.store.folderOf(uuid);
      for (const name of ['live.xml', 'config.xml']) writeFileSync(join(folder, name), documented);
      const doing: SnapshotDoing = {
        ...{ what: 'create', metadata: true, begun: true, reuse: false, online: true, defined: [] },
        xml: `<domainsnapshot><name>kept</name><state>running</state><creationTime>1</creationTime>
          <disks><disk name='vda' snapshot='external' type='file'><source file='/i/overlay'/></disk></disks><active>1</active></domainsnapshot>`,
      };
      one.writeRecord({ ...one.recordOnDisk(), pending: command, snapshot: { doing } });
    },
  });
  expect(await names()).toEqual(['kept']);
  expect(one.recordOnDisk().snapshot).toEqual({ current: 'kept' });
  const { config, live } = one.host.get(uuid);
  const images = [config, live].map((domain) => domain!.devices.disks.map((disk) => diskImages(disk).length));
  expect(images).toEqual([[1], [1]]);
});

describe('a way back to a snapshot that a driver died over', () => {
  const revert = { id: 'c3', operation: 'snapshot-revert' };
  const overlay = '/i/back.vda.1';
  const state = (file: string): string =>
    `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${file}'/><target dev='vda' bus='virtio'/></disk>`;
  /** The domain stands on that image by then. @param starts its guest was to run */
  const diedOver = async (starts: boolean, file = overlay): Promise<void> => {
    await one.call('destroy', { graceful: false });
    await one.define({ devices: state(file) });
    const description = `<domainsnapshot><name>back</name><state>shutoff</state><creationTime>1</creationTime>
      <disks><disk name='vda' snapshot='external' type='file'><source file='/i/top'/></disk></disks>
      <revertDisks><disk name='vda' snapshot='external' type='file'><source file='${overlay}'/></disk></revertDisks>
      <domain type='qemu'><name>web1</name><uuid>${uuid}</uuid><memory>1024</memory><os><type>hvm</type></os>
        <devices>${state('/i/base')}</devices></domain><active>0</active></domainsnapshot>`;
    await one.restart({
      meanwhile: () =>
        one.writeRecord({
          ...one.recordOnDisk(),
          pending: revert,
          snapshot: { doing: { what: 'revert', name: 'back', xml: description, starts } },
        }),
    });
  };
  const became = (): Promise<unknown> => one.call('answer', { command: revert.id });

  test('has been done when the domain stands on its new overlays', async () => {
    await diedOver(false);
    expect(one.recordOnDisk().snapshot).toEqual({ current: 'back' });
    expect(await became()).toMatchObject({ state: 'answered', response: { domain: { state: 'shutoff' } } });
  });

  test('has failed where its guest was to run then, and says so', async () => {
    await diedOver(true);
    expect(one.recordOnDisk().snapshot).toEqual({ current: 'back' });
    expect(await became()).toMatchObject({
      state: 'answered',
      error: { code: 'OPERATION_FAILED', message: expect.stringContaining('go back to it once more') as string },
    });
  });

  test('never was when it stands on what it stood on', async () => {
    await diedOver(false, '/i/top');
    expect(one.recordOnDisk().snapshot).toEqual({});
    expect(await became()).toEqual({ state: 'unknown' });
  });
});

test('a guest that refuses to say what became of a snapshot is not kept from everybody for ever', async () => {
  answer = () => Promise.reject(new VirtError('OPERATION_FAILED', { detail: 'no' }));
  await restarted(creation);
  await one.call('suspend', {}, { timeoutMs: 5_000 });
  expect(one.state(uuid)).toBe('paused(user)');
});

test.each([false, true])(
  'of several disks that were wound back when the driver died all are, or it is said; one refuses: %s',
  async (refuses) => {
    const wound: string[] = [];
    let hangs = true;
    const facility: Partial<SnapshotsFacet> = {
      checkKept: async () => undefined,
      makeOverlays: async () => undefined,
      rewind: async ({ devices }) => {
        for (const { target } of devices.disks) {
          wound.push(target.dev ?? '');
          if (hangs) await new Promise(() => undefined);
          if (refuses) throw new VirtError('OPERATION_FAILED', { detail: 'it is damaged' });
        }
      },
    };
    const disks = ['vda', 'vdb'].map(
      (dev) =>
        `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/${dev}'/><target dev='${dev}' bus='virtio'/></disk>`,
    );
    const kept = ['vda', 'vdb'].map((dev) => `<disk name='${dev}' snapshot='internal'/>`);
    await one.call('destroy', { graceful: false });
    await one.restart({ prepare: (driver) => Object.assign(driver.facets, { snapshots: facility }) });
    await one.define({ devices: disks.join('') });
    const description = `<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime>
    <disks>${kept.join('')}</disks>${xml({ devices: disks.join('') })}</domainsnapshot>`;
    await one.call('snapshot-create', createSnapshot.request.parse({ xml: description, redefine: true }));
    const request = revertSnapshot.request.parse({ name: 's' });
    const { epoch, revision } = one.host.get(uuid).record;
    const prepared = { epoch, revision, claim: 'c1', disks: [], images: [], missing: [] };
    void one.call('snapshot-revert', request, { id: 'c1', prepared });
    await until(() => wound.length === 1);
    hangs = false;
    await one.restart({ prepare: (driver) => Object.assign(driver.facets, { snapshots: facility }) });
    expect(wound).toEqual(refuses ? ['vda', 'vda'] : ['vda', 'vda', 'vdb']);
    expect(one.recordOnDisk().snapshot).toEqual(refuses ? {} : { current: 's' });
    if (refuses)
      expect(await one.refusal('snapshot-revert', request, { id: 'c1' })).toMatch(/some disks .* it is damaged/);
    else expect(await one.call('snapshot-revert', request, { id: 'c1' })).toHaveProperty('domain');
    // Whoever has started it since loses nothing of that.
    const { length } = wound;
    await one.restart({ prepare: (driver) => Object.assign(driver.facets, { snapshots: facility }) });
    expect(wound).toHaveLength(length);
  },
);
