/** The guest agent's channel. */
import type { Domain } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { askAgent } from '../agent';
import { agentPort } from '../agent-port';
import type { QemuGuest } from '../guest';

export function agentChannel(guest: Pick<QemuGuest, 'live'>): Domain['devices']['channels'][number] | undefined {
  return guest.live.devices.channels.find(({ target }) => target?.name === agentPort);
}

/** The socket of the agent's channel. */
export function agentPath(guest: Pick<QemuGuest, 'live'>): string {
  const path = agentChannel(guest)?.sources[0]?.path;
  if (!path) throw new VirtError('ARGUMENT_UNSUPPORTED', { detail: 'QEMU guest agent is not configured' });
  return path;
}

export const agent: NonNullable<Facets<QemuGuest>['agent']> = {
  execute: (guest, command, how) => askAgent(agentPath(guest), command, how),
};
