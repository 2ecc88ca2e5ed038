/**
 * Disks that travel with their guest: the target serves its new images over NBD, the source mirrors into them until both
 * are the same, and lets go of them while the guest stands still. (facts: migration §6)
 */
import { isRemovable, type Disk, type Domain } from '@virtbus/domain-xml';
import { VirtError, type MigrationOptions } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import type { JobInfo } from '../qmp';

/** Everything that is copied when nothing is named: what can be written and is not shared with others anyway. */
export function copiedDisks(domain: Domain, { storage, disks }: MigrationOptions): Disk[] {
  if (storage === 'shared') return [];
  const { devices } = domain;
  if (!disks) return devices.disks.filter((disk) => canBeCopied(disk) && disk.shareable !== true);
  return disks.map((target) => {
    const disk = devices.disks.find((one) => one.target.dev === target);
    if (!disk) throw new VirtError('INVALID_ARG', { detail: `disk target ${target} not found` });
    if (canBeCopied(disk)) return disk;
    throw new VirtError('OPERATION_INVALID', { detail: `Cannot migrate empty or read-only disk ${target}` });
  });
}

const canBeCopied = (disk: Disk): boolean => disk.readonly !== true && !isRemovable(disk) && disk.source !== undefined;

export const exportName = (disk: Disk): string => `drive-${disk.alias?.name ?? disk.target.dev ?? ''}`;
const nodeName = (disk: Disk): string => `migration-${disk.target.dev ?? ''}-storage`;

/** Target: listen for disks. */
export async function serveDisks(
  guest: QemuGuest,
  at: { host: string; port: number; tls?: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const addr = { type: 'inet', data: { host: at.host, port: String(at.port) } };
  await guest.askRaw('nbd-server-start', { addr, ...(at.tls ? { 'tls-creds': at.tls } : {}) }, signal);
}

/** Target: offer the images of these disks to be written. */
export async function exportDisks(
  guest: QemuGuest,
  disks: readonly Disk[],
  nodeOf: (disk: Disk) => string,
  signal: AbortSignal,
): Promise<void> {
  for (const disk of disks) {
    const node = nodeOf(disk);
    const args = { type: 'nbd', id: `libvirt-nbd-${node}`, 'node-name': node, writable: true, name: exportName(disk) };
    await guest.askRaw('block-export-add', args, signal);
  }
}

/** The images must not be open for writing twice when the guest begins to run. */
export async function stopServing(guest: QemuGuest, signal?: AbortSignal): Promise<void> {
  await guest.askRaw('nbd-server-stop', undefined, signal).catch(() => undefined); // there was none
}

/** Source: begin to copy. */
export async function mirrorDisks(
  guest: QemuGuest,
  disks: readonly Disk[],
  to: { host: string; port: number; tls?: string | undefined },
  options: MigrationOptions,
  nodeOf: (disk: Disk) => string,
  signal: AbortSignal,
): Promise<void> {
  for (const disk of disks) {
    const server = { type: 'inet', host: to.host, port: String(to.port) };
    const node = { driver: 'nbd', server, export: exportName(disk), 'node-name': nodeName(disk), discard: 'unmap' };
    await guest.askRaw('blockdev-add', { ...node, ...secured(to.tls, options) }, signal);
    const mirror = {
      'job-id': exportName(disk),
      device: nodeOf(disk),
      target: nodeName(disk),
      sync: options.storage === 'top' ? 'top' : 'full',
      ...(options.bandwidth === undefined ? {} : { speed: options.bandwidth }),
      ...(options.synchronousWrites ? { 'copy-mode': 'write-blocking' } : {}),
      'auto-finalize': true,
      'auto-dismiss': false,
    };
    await guest.askRaw('blockdev-mirror', mirror, signal);
  }
}

/** The name that the target must prove, where it is not the address that it is reached at, is the one of the memory's way. */
function secured(credentials: string | undefined, { tls }: MigrationOptions): Record<string, string> {
  if (!credentials) return {};
  return { 'tls-creds': credentials, ...(tls?.peer === undefined ? {} : { 'tls-hostname': tls.peer }) };
}

/** Source: another speed for the copies that are being made, bytes a second. */
export async function limitCopies(
  guest: QemuGuest,
  disks: readonly Disk[],
  speed: number,
  signal: AbortSignal,
): Promise<void> {
  const jobs = await guest.ask('query-jobs', undefined, signal);
  for (const { id } of jobs.filter(isOurs(disks))) {
    await guest.askRaw('block-job-set-speed', { device: id, speed }, signal).catch((error: unknown) => {
      if (!isRefusal(error)) throw error; // it has ended meanwhile
    });
  }
}

/** Disks of which copies were begun, and have not been ended since. */
export function disksBeingCopied({ saved, live }: QemuGuest): Disk[] {
  const targets = new Set(saved.migration?.copies ?? []);
  return live.devices.disks.filter(({ target }) => targets.has(target.dev ?? ''));
}

/** What all copies together have done, bytes. Throws when one has failed. */
export async function copyProgress(
  guest: QemuGuest,
  disks: readonly Disk[],
  signal: AbortSignal,
): Promise<{ total: number; processed: number; remaining: number; ready: boolean }> {
  const jobs = (await guest.ask('query-jobs', undefined, signal)).filter(isOurs(disks));
  for (const { id, status, error } of jobs) {
    if (error === undefined && status !== 'concluded') continue;
    const detail = `migration of disk ${id.replace(/^drive-/, '')} failed: ${error ?? 'the copy ended early'}`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }
  const sum = (of: (job: JobInfo) => number): number => jobs.reduce((bytes, job) => bytes + of(job), 0);
  const total = sum((job) => job['total-progress']);
  const processed = sum((job) => job['current-progress']);
  const ready = jobs.length === disks.length && jobs.every(({ status }) => status === 'ready');
  return { total, processed, remaining: Math.max(0, total - processed), ready };
}

const isOurs =
  (disks: readonly Disk[]) =>
  ({ id }: JobInfo): boolean =>
    disks.some((disk) => exportName(disk) === id);

/**
 * Source: end the copies. Gracefully while the guest stands still, so that both sides are the same; by force when the
 * migration has come to nothing. Does nothing for those that have ended.
 */
export async function endCopies(
  guest: QemuGuest,
  disks: readonly Disk[],
  how: { force: boolean },
  signal?: AbortSignal,
): Promise<void> {
  for (const disk of disks) {
    const id = exportName(disk);
    const find = async (): Promise<JobInfo | undefined> =>
      (await guest.ask('query-jobs', undefined, signal)).find((job) => job.id === id);
    // A target that hangs keeps its connection: QEMU waits for what is on its way until that is cut.
    const connection = { type: 'block-node', 'node-name': nodeName(disk) };
    if (how.force) await guest.askRaw('yank', { instances: [connection] }, signal).catch(() => undefined); // it is gone
    const running = await find();
    if (running && running.status !== 'concluded') {
      const cancelled = guest.askRaw('block-job-cancel', { device: id, force: how.force }, signal);
      // Cut off, it may end by itself in this very moment.
      await (how.force ? cancelled.catch(() => undefined) : cancelled);
    }
    for (let job = running && (await find()); job; job = await find()) {
      if (job.status !== 'concluded') {
        signal?.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      await guest.askRaw('job-dismiss', { id }, signal);
      if (!how.force && job.error !== undefined) {
        throw new VirtError('OPERATION_FAILED', { detail: `migration of disk ${id} failed: ${job.error}` });
      }
    }
    const node = { 'node-name': nodeName(disk) };
    await guest.askRaw('blockdev-del', node, signal).catch(() => undefined); // it was never added
  }
}
