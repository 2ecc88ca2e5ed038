/** The guest's file systems, frozen by its agent while a snapshot is taken: what is on the disks then is in order. */
import { askAgent } from '../agent';
import { agentPath } from '../facets/agent';
import type { QemuGuest } from '../guest';

/** An agent flushes first, which takes its time, milliseconds. */
const freezeMs = 30_000;
const thawMs = 10_000;

/** Throws AGENT_UNRESPONSIVE where there is none; file systems may then be frozen in part: thaw. */
export async function freeze(guest: QemuGuest, signal: AbortSignal): Promise<void> {
  await askAgent(agentPath(guest), { execute: 'guest-fsfreeze-freeze' }, { timeoutMs: freezeMs, signal });
}

/** Whatever happened: a guest that stays frozen hangs. What goes wrong is logged. */
export async function thaw(guest: QemuGuest): Promise<void> {
  const signal = AbortSignal.timeout(thawMs);
  try {
    await askAgent(agentPath(guest), { execute: 'guest-fsfreeze-thaw' }, { timeoutMs: thawMs, signal });
  } catch (err) {
    guest.log.error({ err }, 'the file systems of a guest may be frozen still: its agent does not thaw them');
  }
}
