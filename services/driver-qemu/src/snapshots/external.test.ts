/** Taking an external snapshot from a QEMU that is killed over it, or says no: what is written down before it is asked. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskImages, parseDomain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { LiveTaking } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { silent } from '@virtbus/shared/log';
import type { BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { QmpError } from '../qmp';
import { takeExternal, wasTakenExternally } from './external';

const document = `<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices>
  <disk type="file"><driver name="qemu" type="qcow2"/><source file="/a" index="1"/><backingStore/>
    <target dev="vda" bus="virtio"/></disk></devices></domain>`;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-external-'));
  writeFileSync(join(folder, 'b'), '');
});
afterAll(() => rmSync(folder, { recursive: true }));

const host = { capabilitiesOf: () => ({ flags: new Set(), version: '7.2.0' }) } as unknown as BlockHost;

/** What was done, in order. @param onTransaction what QEMU does when it is asked for it */
async function take(onTransaction: (end: () => void) => unknown): Promise<string[]> {
  const did: string[] = [];
  const overlay = { hosts: [], seclabels: [], file: join(folder, 'b') };
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const answers: Record<string, (args: object) => unknown> = {
    'query-named-block-nodes': () => (did.includes('transaction') ? lost() : []),
    transaction: () => {
      did.push('transaction');
      return onTransaction(end);
    },
  };
  const ask = async (command: string, args: object): Promise<unknown> => answers[command]?.(args) ?? {};
  const guest = {
    ...{ ended, ask, askRaw: ask, log: silent, state: { state: 'running' } },
    live: parseDomain(document, { mode: 'live' }).domain,
    saved: { owners: [] },
    blockJobs: { jobs: [] },
    tellSaved: () => undefined,
    folders: { state: '/s', run: '/r', log: '/l' },
  } as unknown as QemuGuest;
  const taking = {
    snapshot: { name: 's', disks: [{ name: 'vda', snapshot: 'external', type: 'file', source: overlay }] },
    ...{ reuse: true, quiesce: false, live: false, signal: AbortSignal.timeout(10_000) },
    begin: () => did.push('begun'),
    taken: () => did.push('taken'),
  } as unknown as LiveTaking;
  const refusal = await takeExternal(host, guest, taking, async () => undefined).catch((error: Error) => error);
  return [...did, ...(refusal ? [refusal.message] : [])];
}

const lost = (): never => {
  throw new VirtError('OPERATION_FAILED', { detail: 'the monitor was closed' });
};

test('the definition names the overlays before QEMU puts them upon the images', async () => {
  expect(await take(() => ({}))).toEqual(['begun', 'transaction', 'taken']);
});

test('a QEMU that is killed over it may have written to the overlays: it counts as taken', async () => {
  const taken = await take((end) => {
    setImmediate(end);
    return lost();
  });
  expect(taken).toEqual(['begun', 'transaction', 'taken']);
});

test('one that refuses has not taken it', async () => {
  const refused = await take(() => {
    const cause = new QmpError('transaction', 'GenericError', 'no');
    throw new VirtError('OPERATION_FAILED', { detail: 'no' }, { cause });
  });
  expect(refused).toEqual(['begun', 'transaction', expect.stringContaining('no')]);
});

describe('after a crash of ours a QEMU whose disk stands on the overlay has taken it', () => {
  const overlaid = document.replace(
    '<source file="/a" index="1"/><backingStore/>',
    '<source file="/b" index="2"/><backingStore type="file"><format type="qcow2"/><source file="/a" index="1"/><backingStore/></backingStore>',
  );
  const source = { hosts: [], seclabels: [], file: '/b' };
  const snapshot = {
    name: 's',
    disks: [{ name: 'vda', snapshot: 'external', type: 'file', source }],
  } as unknown as Snapshot;

  test.each([
    ['did not say so yet', document],
    ['said so already', overlaid],
  ])('where the live document %s', async (_what, xml) => {
    const nodes = [
      { 'node-name': 'libvirt-2-format', backing_file_depth: 1 },
      { 'node-name': 'libvirt-1-format', backing_file_depth: 0 },
    ];
    const guest = {
      ask: async () => nodes,
      log: silent,
      live: parseDomain(xml, { mode: 'live' }).domain,
      saved: { owners: [], overlaysFrom: 2 },
      folders: { state: '/s', run: '/r', log: '/l' },
    } as unknown as QemuGuest;
    expect(await wasTakenExternally(host, guest, snapshot, true)).toBe(true);
    const [disk] = guest.live.devices.disks;
    expect(diskImages(disk!).map((image) => image.source.file)).toEqual(['/b', '/a']);
  });
});
