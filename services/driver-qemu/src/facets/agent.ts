/** The guest agent's channel. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { askAgent } from '../agent';
import { agentPort } from '../agent-port';
import type { QemuGuest } from '../guest';

/** The socket of the agent's channel. */
export function agentPath(guest: QemuGuest): string {
  const channel = guest.live.devices.channels.find(({ target }) => target?.name === agentPort);
  const path = channel?.sources[0]?.path;
  if (!path) throw new VirtError('ARGUMENT_UNSUPPORTED', { detail: 'QEMU guest agent is not configured' });
  return path;
}

export const agent: NonNullable<Facets<QemuGuest>['agent']> = {
  execute: (guest, command, how) => askAgent(agentPath(guest), command, how),
};
