/** The block nodes of a running guest's disks: what they are made from, which one its device uses, adding and taking away. */
import {
  nodeImages,
  type Disk,
  type Guest as NodeSource,
  type NodeImages,
  type PlugStep,
  type QemuCapabilities,
  type QmpStep,
} from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { commandLineContext, type LineHost } from '../command-line';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import type { RunUser } from '../run-user';

/** This host's side of what jobs do. */
export interface BlockHost extends LineHost {
  capabilitiesOf(guest: QemuGuest): QemuCapabilities;
  user: RunUser | undefined;
}

export const maskFlag = 'blockjob.backing-mask-protocol';

/**
 * What nodes of this guest are made from. The binary may have been replaced since it was started: how images are opened is
 * as it was then.
 */
export function nodeSource(host: BlockHost, guest: QemuGuest): NodeSource {
  const now = host.capabilitiesOf(guest);
  const flags = new Set([...now.flags].filter((flag) => flag !== maskFlag || guest.saved.masksProtocol === true));
  const capabilities = { ...now, flags };
  return { domain: guest.live, context: commandLineContext(guest.live, guest.folders, host, capabilities) };
}

/** `backing-mask-protocol` for the commands that know it, so that headers record `raw`, not a protocol. */
export const maskProtocol = (guest: QemuGuest): object =>
  guest.saved.masksProtocol === true ? { 'backing-mask-protocol': true } : {};

/** The node that the guest's device uses, filters included. */
export async function deviceNode(guest: QemuGuest, disk: Disk, signal?: AbortSignal): Promise<string> {
  const alias = disk.alias?.name ?? '';
  const devices = await guest.ask('query-block', undefined, signal);
  const found = devices.find(({ qdev }) => qdev === alias || qdev?.startsWith(`/machine/peripheral/${alias}/`));
  const node = found?.inserted?.['node-name'];
  if (node !== undefined) return node;
  throw new VirtError('OPERATION_FAILED', { detail: `QEMU has no image in disk '${disk.target.dev ?? ''}'` });
}

/** Add what is not there yet, in order. What was added stays when a step fails: it is its job that takes it away. */
export async function addNodes(guest: QemuGuest, steps: readonly PlugStep[], signal?: AbortSignal): Promise<void> {
  const there = await imagesIn(guest);
  for (const { command, arguments: args } of steps) {
    if (command === 'blockdev-add' && there.has(args['node-name'] as string)) continue;
    await guest.askRaw(command, args, signal);
  }
}

/**
 * Take nodes away, top first. One that is not there any more, or that something else uses, is passed over.
 * @param there the nodes that there are, where they have just been asked for
 */
export async function removeNodes(guest: QemuGuest, steps: readonly QmpStep[], there?: NodeImages): Promise<void> {
  await remove(guest, steps, (reason) => guest.log.warn({ reason }, 'a block node stays'), there);
}

/** Whether QEMU has let go of these nodes or lets go of them now: a node that something stands on stays. */
export async function areFree(guest: QemuGuest, steps: readonly QmpStep[]): Promise<boolean> {
  let free = true;
  await remove(guest, steps, () => (free = false));
  return free;
}

/** All told at once: QEMU takes them away in order. */
async function remove(
  guest: QemuGuest,
  steps: readonly QmpStep[],
  stays: (reason: string) => unknown,
  known?: NodeImages,
): Promise<void> {
  if (steps.length === 0) return;
  const there = known ?? (await imagesIn(guest));
  const due = steps.filter(
    ({ command, arguments: args }) => command !== 'blockdev-del' || there.has(args['node-name'] as string),
  );
  const told = await Promise.allSettled(due.map(({ command, arguments: args }) => guest.askRaw(command, args)));
  for (const answer of told) {
    if (answer.status === 'fulfilled') continue;
    if (!isRefusal(answer.reason)) throw answer.reason;
    stays((answer.reason as VirtError).message);
  }
}

/** All nodes of the guest by name, with what is known of their images. */
export const imagesIn = async (guest: QemuGuest, signal?: AbortSignal): Promise<NodeImages> =>
  nodeImages(await guest.ask('query-named-block-nodes', { flat: true }, signal));
