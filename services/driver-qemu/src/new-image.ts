/**
 * A new image in a running guest: its file is there already and empty; it is lent to the guest's user, QEMU gets its nodes and
 * makes its format. Every step says how it is taken back.
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
}

/**
 * Its nodes, with nothing below them yet.
 * @returns the node that stands for the image
 */
export async function addImage(
  host: BlockHost,
  guest: QemuGuest,
  { disk, make }: NewImage,
  undo: Undo,
  signal: AbortSignal,
): Promise<string> {
  const path = disk.source?.file ?? disk.source?.dev;
  undo.push(() => returnFiles(guest));
  lendFiles(guest, host.user, path === undefined ? [] : [path], 'write');
  const source = nodeSource(host, guest);
  const { storage, format, layers } = imageNodes(source, disk, 0, { backing: null });
  const add = async (steps: readonly PlugStep[]): Promise<void> => {
    for (const step of steps) {
      await guest.askRaw(step.command, step.arguments, signal);
      undo.push(() => guest.askRaw(step.undo.command, step.undo.arguments));
    }
  };
  await add(storage);
  const options = make && imageCreation(source, disk, 0, make).format;
  if (options) await runJob(guest, 'blockdev-create', { 'job-id': creationJob(layers.top), options }, signal);
  await add(format);
  return layers.top;
}
