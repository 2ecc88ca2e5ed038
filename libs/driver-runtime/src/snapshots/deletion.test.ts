/** What deleting snapshots comes to: which overlays are merged, which files go, what is refused. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskImages, parseDomain, type Domain } from '@virtbus/domain-xml';
import { parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { silent as log } from '@virtbus/shared/log';
import type { Actor } from '../actor';
import { planDeletion, standingOn, withoutMerged, type Deletion } from './deletion';
import { snapshotsOf } from './index';
import { depthsOf } from './merging';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-deletion-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const uuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';

const domainXml = (file: string): string => `<domain type='qemu'><name>web1</name><uuid>${uuid}</uuid>
  <memory>65536</memory><os><type>hvm</type></os>
  <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${file}'/>
    <target dev='vda' bus='virtio'/></disk></devices></domain>`;

const domainOn = (file: string): Domain => parseDomain(domainXml(file), { mode: 'inactive' }).domain;

interface Given {
  name: string;
  parent?: string;
  /** Its state lies here, its overlay there. */
  from: string;
  to?: string;
  revertedTo?: string;
  /** A deletion of it was interrupted. */
  begun?: boolean;
}

const diskXml = (file: string, more = ''): string =>
  `<disk name='vda' snapshot='external' type='file'><source file='${file}'/>${more}</disk>`;

function snapshot({ name, parent, from, to, revertedTo, begun }: Given): Snapshot {
  const disks = to ? diskXml(to, begun ? '<snapshotDeleteInProgress/>' : '') : `<disk name='vda' snapshot='internal'/>`;
  return parseSnapshot(
    `<domainsnapshot><name>${name}</name><state>shutoff</state><creationTime>1</creationTime>
      ${parent ? `<parent><name>${parent}</name></parent>` : ''}<disks>${disks}</disks>
      ${revertedTo ? `<revertDisks>${diskXml(revertedTo)}</revertDisks>` : ''}${domainXml(from)}<active>0</active>
    </domainsnapshot>`,
    { form: 'stored' },
  );
}

/** As much of a domain as deleting looks at. */
function domainWith(current: string, file: string, given: readonly Given[]): Actor {
  const actor = {
    folders: { state: folder },
    log,
    record: { snapshot: { current } },
    document: domainOn(file),
  } as unknown as Actor;
  for (const one of given) snapshotsOf(actor).keep(snapshot(one));
  return actor;
}

const plan = (actor: Actor, ...names: string[]) =>
  planDeletion(
    actor,
    names.map((name) => snapshotsOf(actor).get(name)),
  );

const line: Given[] = [
  { name: 'one', from: '/i/a', to: '/i/b' },
  { name: 'two', parent: 'one', from: '/i/b', to: '/i/c' },
];

const images = (...paths: string[]) => paths.map((file) => diskImages(domainOn(file).devices.disks[0]!)[0]!);

/** What becomes of a chain of these images. */
const depths = ({ merging, before }: Deletion, ...paths: string[]) => depthsOf(merging, () => images(...paths), before);

test('an overlay in the middle is merged into what its snapshot kept, and who named it names that', () => {
  const actor = domainWith('two', '/i/c', line);
  const { merging, files } = plan(actor, 'one');
  expect(files).toEqual([]);
  expect(depthsOf(merging, () => images('/i/c', '/i/b', '/i/a'))).toEqual([{ target: 'vda', top: 1, base: 2 }]);
  const two = withoutMerged(snapshotsOf(actor).get('two'), merging);
  expect(two.domain?.devices.disks[0]?.source?.file).toBe('/i/a');
});

test('a snapshot and all below it are one merge a disk', () => {
  const actor = domainWith('two', '/i/c', line);
  expect(depths(plan(actor, 'two', 'one'), '/i/c', '/i/b', '/i/a')).toEqual([{ target: 'vda', top: 0, base: 2 }]);
});

describe('a chain that was changed since', () => {
  const changed = (overlay: string, name: string): string =>
    `disk 'vda' no longer stands on the overlay ${overlay} of snapshot '${name}' (a pull, copy or commit has changed it); delete the metadata alone (--metadata)`;

  test('is not merged where it lacks an overlay', () => {
    const actor = domainWith('two', '/i/c', line);
    expect(() => depths(plan(actor, 'one'), '/i/c')).toThrow(changed('/i/b', 'one'));
    expect(() => depths(plan(actor, 'one'), '/i/c', '/i/a')).toThrow(changed('/i/b', 'one'));
    expect(() => depths(plan(actor, 'two', 'one'), '/i/copy')).toThrow(changed('/i/c', 'two'));
  });

  test('is not merged into anything but what the overlay was put upon', () => {
    const actor = domainWith('two', '/i/c', line);
    const elsewhere = `disk 'vda' no longer stands on /i/b below the overlay /i/c of snapshot 'two'`;
    expect(() => depths(plan(actor, 'two'), '/i/c', '/i/a')).toThrow(elsewhere);
    expect(() => depths(plan(actor, 'two'), '/i/c')).toThrow(changed('/i/c', 'two'));
    expect(() => depths(plan(actor, 'two', 'one'), '/i/c', '/i/b', '/i/lower')).toThrow(
      'no longer stands on /i/a below',
    );
  });

  test('is not merged over an image between the overlays that nobody asked to go', () => {
    const actor = domainWith('two', '/i/c', [line[0]!, { name: 'two', parent: 'one', from: '/i/bare', to: '/i/c' }]);
    const stay = ['/i/c', '/i/bare', '/i/b', '/i/a'];
    expect(() => depths(plan(actor, 'two', 'one'), ...stay)).toThrow('delete the snapshots one at a time');
    expect(depths(plan(actor, 'one'), ...stay)).toEqual([{ target: 'vda', top: 2, base: 3 }]);
  });
});

test('nothing is merged into an image that is the state of another snapshot that stays', () => {
  const actor = domainWith('two', '/i/c', [line[0]!, { name: 'two', parent: 'one', from: '/i/a', to: '/i/c' }]);
  expect(() => plan(actor, 'two')).toThrow("merged into /i/a, which is the state of disk 'vda' in snapshot 'one'");
});

test('a deletion that was interrupted can be done again, all at once or one after the other', () => {
  const actor = domainWith(
    'two',
    '/i/a',
    line.map((one) => ({ ...one, begun: true })),
  );
  for (const names of [['two', 'one'], ['two'], ['one']]) {
    expect(depths(plan(actor, ...names), '/i/a')).toEqual([]);
    expect(() => depths(plan(actor, ...names), '/i/copy')).toThrow(`disk 'vda' no longer stands on the overlay`);
  }
  expect(depths(plan(actor, 'two'), '/i/c', '/i/a')).toEqual([{ target: 'vda', top: 0, base: 1 }]);
});

test('an image that a chain names through a link is what the overlay was put upon', () => {
  const [file, link] = [join(folder, 'a'), join(folder, 'link')];
  writeFileSync(file, '');
  symlinkSync(file, link);
  const actor = domainWith('one', '/i/b', [{ name: 'one', from: link, to: '/i/b' }]);
  expect(depths(plan(actor, 'one'), '/i/b', file)).toEqual([{ target: 'vda', top: 0, base: 1 }]);
});

const branched: Given[] = [
  { name: 'one', from: '/i/a', to: '/i/b', revertedTo: '/i/n' },
  { name: 'two', parent: 'one', from: '/i/b', to: '/i/c' },
];

test('after going back, the state of a branch that was left goes with its file', () => {
  const actor = domainWith('one', '/i/n', branched);
  expect(plan(actor, 'two')).toMatchObject({ merging: [], files: ['/i/b'] });
  expect(() => plan(actor, 'one')).toThrow('deletion of active external snapshot that is not a leaf');
});

test('a disk that the domain no longer has keeps its overlay', () => {
  const actor = Object.assign(domainWith('one', '/i/b', [line[0]!]), {
    document: parseDomain(domainXml('/i/b').replace(/<disk[^]*<\/disk>/, ''), { mode: 'inactive' }).domain,
  });
  expect(plan(actor, 'one')).toMatchObject({ merging: [], files: [] });
});

test('the state of a branch goes with its file, whichever return to its parent has made that', () => {
  const one = { name: 'one', from: '/i/a.qcow2', to: '/i/b', revertedTo: '/i/a.vda.18' };
  const state = (file: string) =>
    domainWith('one', '/i/a.vda.18', [one, { name: 'two', parent: 'one', from: file, to: '/i/c' }]);
  expect(plan(state('/i/a.vda.17'), 'two')).toMatchObject({ files: ['/i/a.vda.17'] });
  for (const file of ['/i/copy.17', '/i/a.vda.old', '/i/a.vda.017'])
    expect(plan(state(file), 'two')).toMatchObject({ files: [] });
});

test('what is merged is the overlay that the present stands on, not one that a later return to the snapshot has made', () => {
  const one = { name: 'one', from: '/i/a.qcow2', to: '/i/b', revertedTo: '/i/a.vda.18' };
  for (const file of ['/i/b', '/i/a.vda.17', '/i/a.vda.18']) {
    const actor = domainWith('two', '/i/c', [one, { name: 'two', parent: 'one', from: file, to: '/i/c' }]);
    expect(depths(plan(actor, 'one'), '/i/c', file, '/i/a.qcow2')).toEqual([{ target: 'vda', top: 1, base: 2 }]);
  }
});

test('what others follow on outside of what the domain stands on is not deleted', () => {
  const actor = domainWith('one', '/i/n', [...branched, { name: 'three', parent: 'two', from: '/i/c', to: '/i/d' }]);
  expect(() => plan(actor, 'two')).toThrow('deletion of non-leaf external snapshot that is not in active chain');
});

describe('a branch that was left', () => {
  /** Gone back to `two` after `three` was taken. */
  const left = (...more: Given[]): Actor =>
    domainWith('two', '/i/n', [
      line[0]!,
      { name: 'two', parent: 'one', from: '/i/b', to: '/i/c', revertedTo: '/i/n' },
      ...more,
    ]);

  test('keeps the overlay below it from being merged', () => {
    const three = { name: 'three', parent: 'two', from: '/i/c', to: '/i/d' };
    const refused = `the state of disk 'vda' in snapshot 'three' stands on the overlay /i/b of snapshot 'one'; delete that first`;
    expect(() => plan(left(three), 'one')).toThrow(refused);
    expect(() => plan(left({ name: 'three', parent: 'two', from: '/i/c' }), 'one')).toThrow(refused);
    expect(plan(left(three), 'three', 'two', 'one').merging).toHaveLength(2);
  });

  test('is in nobody’s way where its state is an image of what the domain stands on', () => {
    const inner = { name: 'inner', parent: 'two', from: '/i/n' };
    const actor = left(inner, { name: 'three', parent: 'two', from: '/i/n', to: '/i/d' });
    actor.record.snapshot = { current: 'three' };
    expect(plan(actor, 'one').merging).toMatchObject([{ snapshot: 'one' }]);
  });
});

test('an internal snapshot below an overlay stays until the overlay is merged', () => {
  const actor = domainWith('two', '/i/b', [
    { name: 'one', from: '/i/a' },
    { name: 'two', parent: 'one', from: '/i/a', to: '/i/b' },
  ]);
  expect(() => plan(actor, 'one')).toThrow(
    "internal snapshot 'one' is within an image of disk 'vda' that is not the active",
  );
  expect(plan(actor, 'two', 'one').snapshots).toHaveLength(2);
});

test('an overlay that an internal snapshot is within is not merged, whether that is to stay or to go', () => {
  const actor = domainWith('kept', '/i/b', [
    { name: 'one', from: '/i/a', to: '/i/b' },
    { name: 'kept', parent: 'one', from: '/i/b' },
  ]);
  const within = "internal snapshot 'kept' is within the image of disk 'vda' that would be merged; delete it first";
  expect(() => plan(actor, 'one')).toThrow(within);
  expect(() => plan(actor, 'kept', 'one')).toThrow(within);
  expect(plan(actor, 'kept')).toMatchObject({ merging: [], files: [] });
});

test('an internal snapshot in what an overlay is merged into stays as it is', () => {
  const actor = domainWith('two', '/i/b', [
    { name: 'kept', from: '/i/a' },
    { name: 'two', parent: 'kept', from: '/i/a', to: '/i/b' },
  ]);
  expect(plan(actor, 'two').merging).toHaveLength(1);
});

test('images stay as they are while a managed save image tells of a guest on them', () => {
  const saved = (current: string, top: string, given: Given[]): Actor =>
    Object.assign(domainWith(current, top, given), { managedSave: true, active: false });
  const refused = 'domain has a managed save image';
  expect(() => plan(saved('two', '/i/c', line), 'one')).toThrow(refused);
  expect(() => plan(saved('one', '/i/n', branched), 'two')).toThrow(refused);
  expect(() => plan(Object.assign(saved('two', '/i/c', line), { active: true }), 'one')).not.toThrow();
});

test('a definition that names its chain no longer names what was merged below its image', () => {
  const actor = domainWith('two', '/two.qcow2', [
    { name: 'one', from: '/base.qcow2', to: '/one.qcow2' },
    { name: 'two', parent: 'one', from: '/one.qcow2', to: '/two.qcow2' },
  ]);
  const store = (file: string, below = ''): string =>
    `<backingStore type='file'><format type='qcow2'/><source file='${file}'/>${below}</backingStore>`;
  const xml = domainXml('/two.qcow2').replace('<target', `${store('/one.qcow2', store('/base.qcow2'))}<target`);
  const { merging } = planDeletion(actor, [snapshotsOf(actor).get('one')]);
  const [disk] = standingOn(parseDomain(xml, { mode: 'inactive' }).domain, merging).devices.disks;
  expect(diskImages(disk!).map(({ source }) => source.file)).toEqual(['/two.qcow2', '/base.qcow2']);
});
