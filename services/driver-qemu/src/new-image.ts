/**
 * A new image in a running guest: QEMU gets its nodes and makes its storage and format where they are to be made. Its file is
 * there already and empty, and is lent to the guest's user; a raw image is a file of its length.
 */
import { imageCreation, imageNodes, type CreationChoices, type Disk, type PlugStep } from '@virtbus/domain-xml';
import { lendFiles, returnFiles } from './block-jobs/files';
import { nodeSource, type BlockHost } from './block-jobs/nodes';
import type { QemuGuest } from './guest';
import { runJob } from './short-job';
import type { Undo } from './undo';

/** Id of the job that makes the format behind a node. */
export const creationJob = (node: string): string => `create-${node}`;

export interface NewImage {
  /** The disk as it will be: numbered, with the new image on top. */
  disk: Disk;
  /** Undefined: the image is there, with its format. */
  make: CreationChoices | undefined;
  /** The node below it; null for none. As the disk's chain has it when left out. */
  backing?: string | null;
}

/**
 * The image is open when this resolves.
 * @param undo gets what takes each step back; left out where a job that is written down takes the image away
 */
export async function addImage(
  host: BlockHost,
  guest: QemuGuest,
  { disk, make, backing }: NewImage,
  signal: AbortSignal,
  undo: Undo = [],
): Promise<void> {
  const path = disk.source?.file ?? disk.source?.dev;
  undo.push(() => returnFiles(guest));
  lendFiles(guest, host.user, path === undefined ? [] : [path], 'write');
  const source = nodeSource(host, guest);
  const { storage, format, layers } = imageNodes(source, disk, 0, backing === undefined ? {} : { backing });
  const add = async (steps: readonly PlugStep[]): Promise<void> => {
    for (const step of steps) {
      await guest.askRaw(step.command, step.arguments, signal);
      undo.push(() => guest.askRaw(step.undo.command, step.undo.arguments));
    }
  };
  const create = async (options: object | undefined): Promise<void> => {
    if (options) await runJob(guest, 'blockdev-create', { 'job-id': creationJob(layers.top), options }, signal);
  };
  const isRaw = disk.driver?.type === 'raw';
  const creation = make && imageCreation(source, disk, 0, isRaw ? { ...make, physical: make.capacity } : make);
  if (isRaw) await create(creation?.protocol);
  await add(storage);
  await create(creation?.format);
  await add(format);
}
