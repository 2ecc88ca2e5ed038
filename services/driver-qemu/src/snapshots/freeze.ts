/**
 * The guest's file systems, frozen by its agent while a snapshot is taken: what is on the disks then is in order.
 *
 * A guest that stays frozen hangs with its next write. That it may be frozen is written down before its agent hears of it;
 * then it is thawed, however long its agent takes, and also by a driver that comes back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError } from '@virtbus/shared';
import { askAgent } from '../agent';
import { agentPath } from '../facets/agent';
import type { QemuGuest } from '../guest';

/** An agent flushes first, which takes its time, milliseconds. */
const freezeMs = 30_000;
const thawMs = 10_000;
const againMs = 1_000;

/** Guests that are thawed as soon as their agents answer. */
const thawing = new WeakMap<FrozenGuest, AbortController>();

type FrozenGuest = Pick<QemuGuest, 'live' | 'saved' | 'tellSaved' | 'log' | 'ended'>;

/** Throws AGENT_UNRESPONSIVE where there is none; file systems may then be frozen in part: thaw. */
export async function freeze(guest: FrozenGuest, signal: AbortSignal): Promise<void> {
  thawing.get(guest)?.abort();
  const sending = (): void => note(guest, true);
  await askAgent(agentPath(guest), { execute: 'guest-fsfreeze-freeze' }, { timeoutMs: freezeMs, signal, sending });
}

/**
 * Whatever happened: nothing where nothing was frozen. Of an agent that does not answer, because it is still at freezing,
 * it is asked again in the background until it does. What goes wrong is logged.
 */
export async function thaw(guest: FrozenGuest): Promise<void> {
  if (!guest.saved.frozen || (await isThawed(guest))) return;
  guest.log.warn('the file systems of a guest may be frozen still: its agent is asked again until it answers');
  const given = new AbortController();
  thawing.set(guest, given);
  void guest.ended.then(() => given.abort());
  void untilThawed(guest, given.signal);
}

async function untilThawed(guest: FrozenGuest, { aborted }: AbortSignal): Promise<void> {
  do await sleep(againMs, undefined, { ref: false });
  while (!aborted && !(await isThawed(guest)));
}

/** Also when there is no more to be done. */
async function isThawed(guest: FrozenGuest): Promise<boolean> {
  const signal = AbortSignal.timeout(thawMs);
  try {
    await askAgent(agentPath(guest), { execute: 'guest-fsfreeze-thaw' }, { timeoutMs: thawMs, signal });
  } catch (err) {
    if (isVirtError(err, 'AGENT_UNRESPONSIVE') || isVirtError(err, 'AGENT_COMMAND_TIMEOUT')) return false;
    guest.log.error({ err }, 'the file systems of a guest may be frozen still: its agent does not thaw them');
  }
  note(guest, false);
  return true;
}

function note(guest: FrozenGuest, frozen: boolean): void {
  guest.saved.frozen = frozen || undefined;
  guest.tellSaved();
}
