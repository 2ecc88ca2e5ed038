/**
 * A new image in a running guest: QEMU gets its nodes and makes its storage and format where they are to be made. Its file is
 * there already and empty, and is lent to the guest's user; a raw image is a file of its length.
 *
 * QEMU does what it is told in order, so what needs no answer is told without waiting for one: a step that stands on one that
 * failed fails too.
 */
import { imageCreation, imageNodes, type CreationChoices, type Disk, type PlugStep } from '@virtbus/domain-xml';
import { isVirtError } from '@virtbus/shared';
import { lendFiles, returnFiles } from './block-jobs/files';
import { nodeSource, type BlockHost } from './block-jobs/nodes';
import type { QemuGuest } from './guest';
import { isRefusal } from './monitor-failure';
import { joinJob, runJob } from './short-job';
import type { Undo } from './undo';

/** Id of the job that makes the format behind a node. */
const creationJob = (node: string): string => `create-${node}`;

export interface NewImage {
  /** The disk as it will be: numbered, with the new image on top. */
  disk: Disk;
  /** Undefined: the image is there, with its format. It may still be asked of QEMU. */
  make: CreationChoices | undefined | Promise<CreationChoices | undefined>;
  /** The node below it; null for none. As the disk's chain has it when left out. */
  backing?: string | null;
}

/**
 * The image is whole when this resolves.
 * @param undo gets what takes each step back; left out where a job that is written down takes the image away
 * @returns opens it: QEMU has been told when it returns, and has done it when that resolves
 */
export async function makeImage(
  host: BlockHost,
  guest: QemuGuest,
  { disk, make, backing }: NewImage,
  signal: AbortSignal,
  undo: Undo = [],
): Promise<() => Promise<void>> {
  const path = disk.source?.file ?? disk.source?.dev;
  undo.push(() => returnFiles(guest));
  lendFiles(guest, host.user, path === undefined ? [] : [path], 'write');
  const source = nodeSource(host, guest);
  const { storage, format, layers } = imageNodes(source, disk, 0, backing === undefined ? {} : { backing });
  const create = async (options: object | undefined): Promise<void> => {
    if (options) await runJob(guest, 'blockdev-create', { 'job-id': creationJob(layers.top), options }, signal);
  };
  const creationOf = (choices: CreationChoices | undefined) => choices && imageCreation(source, disk, 0, choices);
  if (disk.driver?.type === 'raw') {
    const choices = await make;
    const creation = creationOf(choices && { ...choices, physical: choices.capacity });
    await create(creation?.protocol);
    await all([add(guest, storage, signal, undo), create(creation?.format)]);
  } else if (make === undefined) {
    return () => all([add(guest, storage, signal, undo), add(guest, format, signal, undo)]);
  } else {
    const added = add(guest, storage, signal, undo);
    await all([added, Promise.resolve(make).then((choices) => create(creationOf(choices)?.format))]);
  }
  return () => add(guest, format, signal, undo);
}

/** The image is open when this resolves. */
export async function addImage(...[host, guest, image, signal, undo]: Parameters<typeof makeImage>): Promise<void> {
  const open = await makeImage(host, guest, image, signal, undo);
  await open();
}

/**
 * After a crash of ours over `makeImage`: nothing is at the image any more when this resolves, and QEMU has forgotten the job.
 * @throws OPERATION_TIMEOUT
 */
export async function endCreation(guest: QemuGuest, node: string): Promise<void> {
  await joinJob(guest, creationJob(node)).catch((err: unknown) => {
    if (isVirtError(err, 'OPERATION_TIMEOUT')) throw err;
    guest.log.info({ err, node }, 'an image was not made');
  });
}

/** All told at once. What QEMU has not refused may have been done, whatever became of its answer. */
async function add(guest: QemuGuest, steps: readonly PlugStep[], signal: AbortSignal, undo: Undo): Promise<void> {
  const told = steps.map(async ({ command, arguments: args, undo: back }) => {
    const takeBack = (): unknown => guest.askRaw(back.command, back.arguments);
    try {
      await guest.askRaw(command, args, signal);
      undo.push(takeBack);
    } catch (error) {
      if (!isRefusal(error)) undo.push(takeBack);
      throw error;
    }
  });
  await all(told);
}

/** Each is waited for, so that nothing is under way when one has failed; then the first failure is told. */
async function all(work: readonly Promise<unknown>[]): Promise<void> {
  for (const done of await Promise.allSettled(work)) if (done.status === 'rejected') throw done.reason;
}
