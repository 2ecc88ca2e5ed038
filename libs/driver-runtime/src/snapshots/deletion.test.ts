/** What deleting snapshots comes to: which overlays are merged, which files go, what is refused. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskImages, parseDomain, type Domain } from '@virtbus/domain-xml';
import { parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { silent as log } from '@virtbus/shared/log';
import type { Actor } from '../actor';
import { depthsOf, planDeletion, standingOn, withoutMerged } from './deletion';
import { snapshotsOf } from './index';

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
}

const diskXml = (file: string): string =>
  `<disk name='vda' snapshot='external' type='file'><source file='${file}'/></disk>`;

function snapshot({ name, parent, from, to, revertedTo }: Given): Snapshot {
  const disks = to ? diskXml(to) : `<disk name='vda' snapshot='internal'/>`;
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

test('an overlay in the middle is merged into what its snapshot kept, and who named it names that', () => {
  const actor = domainWith('two', '/i/c', line);
  const { merging, files } = plan(actor, 'one');
  expect(files).toEqual([]);
  const images = (...paths: string[]) => paths.map((file) => diskImages(domainOn(file).devices.disks[0]!)[0]!);
  expect(depthsOf(merging, () => images('/i/c', '/i/b', '/i/a'))).toEqual([{ target: 'vda', top: 1, base: 2 }]);
  expect(depthsOf(merging, () => images('/i/c', '/i/a'))).toEqual([]);
  const two = withoutMerged(snapshotsOf(actor).get('two'), merging);
  expect(two.domain?.devices.disks[0]?.source?.file).toBe('/i/a');
});

test('a snapshot and all below it are one merge a disk', () => {
  const actor = domainWith('two', '/i/c', line);
  const { merging } = plan(actor, 'two', 'one');
  const images = ['/i/c', '/i/b', '/i/a'].map((file) => diskImages(domainOn(file).devices.disks[0]!)[0]!);
  expect(depthsOf(merging, () => images)).toEqual([{ target: 'vda', top: 0, base: 2 }]);
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

test('what others follow on outside of what the domain stands on is not deleted', () => {
  const actor = domainWith('one', '/i/n', [...branched, { name: 'three', parent: 'two', from: '/i/c', to: '/i/d' }]);
  expect(() => plan(actor, 'two')).toThrow('deletion of non-leaf external snapshot that is not in active chain');
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
