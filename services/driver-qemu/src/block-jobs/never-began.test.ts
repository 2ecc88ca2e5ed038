/** Jobs that we died over before QEMU ran them, on a QEMU that was making their images: nothing of them stays. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain, type Disk } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import { backupKind } from '../backup/kind';
import type { QemuGuest } from '../guest';
import { BareGuest } from '../process/bare-guest';
import { copyKind } from './copy';
import { nodesOf } from './graph';
import type { JobKind } from './kind';
import type { BlockHost } from './nodes';
import type { SavedJob } from './saved-job';

let folder: string;
let qemu: BareGuest;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vb-never-'));
  qemu = await BareGuest.start();
});
afterAll(async () => {
  await qemu[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const host = { capabilitiesOf: () => ({ flags: new Set(), version: '7.2.0' }) } as unknown as BlockHost;
const image = (): string => join(folder, 'made.qcow2');

function documentWith(mirror: string): string {
  return `<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type="file">
    <driver name="qemu" type="qcow2"/><source file="/a" index="1"/><backingStore/>${mirror}
    <target dev="vda" bus="virtio"/></disk></devices></domain>`;
}

const made = (): string => `<source file="${image()}" index="2"/><backingStore/>`;
const diskIn = (document: string): Disk => parseDomain(document, { mode: 'live' }).domain.devices.disks[0]!;

/** The new image, as a disk of its own. */
const store = (): Disk => diskIn(documentWith('').replace('<source file="/a" index="1"/><backingStore/>', made()));

/** QEMU has the file of the image open, and has begun to make its format, which may have ended. */
async function beingMade(node: string): Promise<void> {
  writeFileSync(image(), '');
  const file = node.replace('-format', '-storage');
  await qemu.qmp.executeRaw('blockdev-add', { driver: 'file', 'node-name': file, filename: image() });
  const options = { driver: 'qcow2', file, size: 2 ** 20 };
  await qemu.qmp.executeRaw('blockdev-create', { 'job-id': `create-${node}`, options });
}

function guestOf(document: string): QemuGuest {
  const ask = (command: string, args?: object): Promise<unknown> => qemu.qmp.executeRaw(command, args);
  return {
    ...{ ask, askRaw: ask, monitor: qemu.qmp, log: silent, folders: { state: '/s', run: '/r', log: '/l' } },
    ...{ live: parseDomain(document, { mode: 'live' }).domain, saved: {} },
  } as unknown as QemuGuest;
}

const mirror = (): string =>
  `<mirror type="file" job="copy"><format type="qcow2"/><source file="${image()}" index="2"/><backingStore/></mirror>`;

test.each<[string, (host: BlockHost) => JobKind, () => string, () => object]>([
  ['backup', backupKind, () => documentWith(''), () => ({ store: store(), pull: false, made: true })],
  ['copy', copyKind, () => documentWith(mirror()), () => ({ shallow: false, reuse: false })],
])('of a %s that never began nothing stays', async (type, kindOn, document, details) => {
  const guest = guestOf(document());
  const job = { id: 'j', type, disk: 'vda', state: 'new', files: [], details: details() } as unknown as SavedJob;
  await beingMade(nodesOf(host, guest, store())[0]!);
  await kindOn(host).finish(guest, job, { kind: 'failed' });
  expect(existsSync(image())).toBe(false);
  expect(await qemu.qmp.execute('query-jobs')).toEqual([]);
  await eventually(async () => await qemu.qmp.execute('query-named-block-nodes'), []);
});

test('what was there already stays', async () => {
  writeFileSync(image(), 'of somebody');
  const reused = { ...{ id: 'j', disk: 'vda', state: 'new', files: [] }, details: { shallow: false, reuse: true } };
  await copyKind(host).finish(guestOf(documentWith(mirror())), reused as unknown as SavedJob, { kind: 'failed' });
  const kept = { ...reused, details: { store: store(), pull: false, made: false } };
  await backupKind(host).finish(guestOf(documentWith('')), kept as unknown as SavedJob, { kind: 'failed' });
  expect(existsSync(image())).toBe(true);
});
