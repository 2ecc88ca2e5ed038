/** Internal snapshots of a running guest: QEMU's own, of memory and disks together, kept in the disks' qcow2 images. */
import { chainLayers, nodeImages } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { LiveTaking } from '@virtbus/driver-runtime';
import { isVirtError } from '@virtbus/shared';
import { nodeSource, type BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { joinJob, runJob } from '../short-job';
import { isHeldAlready } from './offline';

/** Job ids of QEMU are letters, digits, `-`, `.` and `_`. */
const jobId = (what: 'save' | 'delete' | 'load', name: string): string =>
  `internal-snapshot-${what}-${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}`;

/** Nodes of the images that the snapshot is in, by their disks; the memory is in the first of them. */
function nodesByTarget(host: BlockHost, guest: QemuGuest, { disks }: Snapshot): [target: string, node: string][] {
  const source = nodeSource(host, guest);
  const targets = new Set(disks.flatMap(({ name, snapshot }) => (snapshot === 'internal' ? [name] : [])));
  return guest.live.devices.disks.flatMap((disk): [string, string][] => {
    const { dev = '' } = disk.target;
    const top = targets.has(dev) ? chainLayers(source, disk)[0]?.top : undefined;
    return top === undefined ? [] : [[dev, top]];
  });
}

const nodesOf = (host: BlockHost, guest: QemuGuest, snapshot: Snapshot): string[] =>
  nodesByTarget(host, guest, snapshot).map(([, node]) => node);

export async function takeInternal(host: BlockHost, guest: QemuGuest, taking: LiveTaking): Promise<void> {
  const { snapshot, signal } = taking;
  const devices = nodesOf(host, guest, snapshot);
  taking.begin();
  if (guest.state.state === 'running') guest.expectPause('snapshot');
  const id = jobId('save', snapshot.name);
  await runJob(guest, 'snapshot-save', { 'job-id': id, tag: snapshot.name, vmstate: devices[0], devices }, signal);
  taking.taken();
}

/** Throws where an image holds one of that name already: it would be taken for the new one after a crash. */
export async function checkFreeInternally(host: BlockHost, guest: QemuGuest, snapshot: Snapshot): Promise<void> {
  const [held] = await nodesHaving(host, guest, snapshot);
  const found = nodesByTarget(host, guest, snapshot).find(([, node]) => node === held);
  if (found) throw isHeldAlready(found[0], snapshot);
}

/** After a crash of ours: a job that runs is waited for; what lies in some of the images only is taken out. */
export async function wasTakenInternally(host: BlockHost, guest: QemuGuest, snapshot: Snapshot): Promise<boolean> {
  await joinJob(guest, jobId('save', snapshot.name)).catch((err: unknown) => {
    if (isVirtError(err, 'OPERATION_TIMEOUT')) throw err;
    guest.log.info({ err }, 'a snapshot that was begun before our restart has failed');
  });
  const having = await nodesHaving(host, guest, snapshot);
  if (having.length === nodesOf(host, guest, snapshot).length) return true;
  await removeInternal(host, guest, snapshot);
  return false;
}

export async function removeInternal(
  host: BlockHost,
  guest: QemuGuest,
  snapshot: Snapshot,
  signal?: AbortSignal,
): Promise<void> {
  const devices = await nodesHaving(host, guest, snapshot);
  if (devices.length === 0) return;
  const id = jobId('delete', snapshot.name);
  await runJob(guest, 'snapshot-delete', { 'job-id': id, tag: snapshot.name, devices }, signal);
}

async function nodesHaving(host: BlockHost, guest: QemuGuest, snapshot: Snapshot): Promise<string[]> {
  const images = nodeImages(await guest.ask('query-named-block-nodes', { flat: true }));
  return nodesOf(host, guest, snapshot).filter((node) => images.get(node)?.internalSnapshots.includes(snapshot.name));
}

/** The guest waits, paused before its first instruction; afterwards it is as it was, paused. */
export async function loadInternal(
  host: BlockHost,
  guest: QemuGuest,
  snapshot: Snapshot,
  signal: AbortSignal,
): Promise<void> {
  const devices = nodesOf(host, guest, snapshot);
  const id = jobId('load', snapshot.name);
  await runJob(guest, 'snapshot-load', { 'job-id': id, tag: snapshot.name, vmstate: devices[0], devices }, signal);
}
