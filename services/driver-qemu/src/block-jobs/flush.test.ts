/** What images hold when QEMU is killed over the end of a job that has copied between them. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chainLayers, parseDomain } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import type { QemuGuest } from '../guest';
import { BareGuest } from '../process/bare-guest';
import { commitKind } from './commit';
import { flushImage } from './graph';
import type { JobKind } from './kind';
import { nodeSource, type BlockHost } from './nodes';
import { pullKind } from './pull';
import type { SavedJob } from './saved-job';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-flush-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const image = (name: string): string => join(folder, name);
const qemuImg = (...args: string[]): string => execFileSync('qemu-img', args, { encoding: 'utf8' });
const qemuIo = (path: string, command: string): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path], { encoding: 'utf8' });

/** `top` upon `middle`, which holds data, upon `base`. */
function makeChain(): void {
  qemuImg('create', '-q', '-f', 'qcow2', image('base'), '16M');
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image('base'), image('middle'));
  qemuIo(image('middle'), 'write -P 7 0 4M');
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image('middle'), image('top'));
}

function blockdevs(): string[] {
  return ['base', 'middle', 'top'].flatMap((name, n, all) => [
    '-blockdev',
    JSON.stringify({
      driver: 'qcow2',
      'node-name': name,
      'read-only': name !== 'top',
      file: { driver: 'file', filename: image(name), 'auto-read-only': true },
      backing: all[n - 1] ?? null,
    }),
  ]);
}

test.each([
  ['commit', 'block-commit', { device: 'top', 'top-node': 'middle', 'base-node': 'base' }, 'base'],
  ['pull', 'block-stream', { device: 'top', 'base-node': 'base' }, 'top'],
])('what a %s has copied is there, whenever QEMU dies after its header says so', async (_, command, args, written) => {
  makeChain();
  await using guest = await BareGuest.start(blockdevs());
  const job = { 'job-id': 'job', 'auto-finalize': false, 'auto-dismiss': false };
  await guest.qmp.executeRaw(command, { ...args, ...job });
  await eventually(async () => (await guest.qmp.execute('query-jobs'))[0]?.status, 'pending');
  await flushImage({ ask: (name, given) => guest.qmp.execute(name, given) }, written);
  process.kill(guest.process.identity.pid, 'SIGKILL');
  await guest.process.exited;
  // As the job makes it next.
  qemuImg('rebase', '-q', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', image('base'), image('top'));
  expect(qemuIo(image('top'), 'read -P 7 0 4M')).not.toContain('verification failed');
});

const layer = (index: number, below: string): string =>
  `<format type="qcow2"/><source file="/${index}" index="${index}"/>${below}`;
const document = `<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type="file">
  <driver name="qemu" type="qcow2"/><source file="/1" index="1"/>
  <backingStore type="file">${layer(2, `<backingStore type="file">${layer(3, '<backingStore/>')}</backingStore>`)}</backingStore>
  <target dev="vda" bus="virtio"/></disk></devices></domain>`;

test.each<[string, (host: BlockHost) => JobKind, details: object, depth: number]>([
  ['commit', commitKind, { top: 2, base: 3, delete: [] }, 2],
  ['pull', pullKind, { base: 3 }, 0],
])('a %s is made final only when the image that it has written to is flushed', async (type, kindOn, details, depth) => {
  const host = { capabilitiesOf: () => ({ flags: new Set(), version: '7.2.0' }) } as unknown as BlockHost;
  const asked: unknown[] = [];
  const answers: Record<string, unknown> = { 'query-named-block-nodes': [], 'human-monitor-command': '' };
  const ask = async (command: string, args?: object): Promise<unknown> => {
    asked.push({ [command]: args });
    return answers[command];
  };
  const guest = {
    ...{ ask, askRaw: ask, log: silent, saved: {}, folders: { state: '/s', run: '/r', log: '/l' } },
    live: parseDomain(document, { mode: 'live' }).domain,
  } as unknown as QemuGuest;
  const job = { id: 'j', type, disk: 'vda', state: 'pending', files: [], details } as unknown as SavedJob;
  await kindOn(host).beforeFinal?.(guest, job);
  const written = chainLayers(nodeSource(host, guest), guest.live.devices.disks[0]!)[depth]!.top;
  expect(asked.at(-1)).toEqual({ 'human-monitor-command': { 'command-line': `qemu-io ${written} flush` } });
});
