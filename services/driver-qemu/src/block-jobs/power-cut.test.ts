/** In which order the end of a job comes to disk: images that were merged go when nothing that is read after a power cut names them. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import type { QemuGuest } from '../guest';
import { commitKind } from './commit';
import { conclude } from './conclude';
import type { BlockHost } from './nodes';
import { pullKind } from './pull';
import type { SavedJob } from './saved-job';

let folder: string;
let did: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-cut-'));
  for (const image of ['1', '2', '3']) writeFileSync(join(folder, image), '');
  did = [];
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const layer = (index: number, below: string): string =>
  `<format type="qcow2"/><source file="${folder}/${index}" index="${index}"/>${below}`;
const documentOf = (): Domain =>
  parseDomain(
    `<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type="file">
      <driver name="qemu" type="qcow2"/><source file="${folder}/1" index="1"/>
      <backingStore type="file">${layer(2, `<backingStore type="file">${layer(3, '<backingStore/>')}</backingStore>`)}</backingStore>
      <target dev="vda" bus="virtio"/></disk></devices></domain>`,
    { mode: 'live' },
  ).domain;

const host = { capabilitiesOf: () => ({ flags: new Set(), version: '7.2.0' }) } as unknown as BlockHost;

/** Its documents name image 2 until it is told otherwise. */
function guestOf(job: SavedJob): QemuGuest {
  const names = (domain: Domain): boolean => JSON.stringify(domain).includes(`${folder}/2`);
  const ask = async (): Promise<unknown> => [];
  return {
    ...{ ask, askRaw: ask, log: silent, folders: { state: folder, run: '/r', log: '/l' } },
    ...{ live: documentOf(), saved: { owners: [], blockJobs: [job] }, blockJobs: { isAwaited: () => false } },
    tell: ({ event, definition }: { event?: { type: string }; definition: (config: Domain) => Domain }) => {
      const says = names(definition(documentOf())) ? 'as it was' : 'without';
      did.push(event ? event.type : `definition ${says}`, existsSync(join(folder, '2')) ? 'there' : 'gone');
    },
  } as unknown as QemuGuest;
}

/** @param failing path of what cannot be brought to disk */
function watchFlushes(failing?: string): void {
  const { open } = promises;
  jest.spyOn(promises, 'open').mockImplementation(async (...args) => {
    const file = await open(...args);
    const sync = file.sync.bind(file);
    file.sync = () => {
      if (args[0] === failing) return Promise.reject(new Error('EIO'));
      did.push(`flushed ${(args[0] as string).split('/').at(-1)}`);
      return sync();
    };
    return file;
  });
}

const jobOf = (type: 'commit' | 'pull', details: object): SavedJob => ({
  ...{ id: 'j', type, disk: 'vda', state: 'concluded', files: [], finalizedByUs: true, details },
});

test('a merged image goes when header and definition are on disk without it', async () => {
  watchFlushes();
  const job = jobOf('commit', { top: 2, base: 3, delete: [join(folder, '2')] });
  await conclude(guestOf(job), job, { kind: 'completed' }, commitKind(host));
  expect(did).toEqual(['flushed 1', 'definition without', 'there', 'completed', 'gone']);
});

test('a pull is told when the header is on disk that names its base', async () => {
  watchFlushes();
  const job = jobOf('pull', { base: 3 });
  await conclude(guestOf(job), job, { kind: 'completed' }, pullKind(host));
  expect(did).toEqual(['flushed 1', 'completed', 'there']);
});

test('what may be needed after a power cut stays when the header cannot be flushed', async () => {
  watchFlushes(join(folder, '1'));
  const job = jobOf('commit', { top: 2, base: 3, delete: [join(folder, '2')] });
  await conclude(guestOf(job), job, { kind: 'completed' }, commitKind(host));
  expect(did.slice(-2)).toEqual(['completed', 'there']);
});
