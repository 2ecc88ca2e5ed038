/** Asking the guest: shut down, reboot; and the reset button. */
import type { Facets } from '@virtbus/driver-runtime';
import { isVirtError, VirtError, type PowerMode } from '@virtbus/shared';
import { askAgent } from '../agent';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import { isEvent, type QmpEvent } from '../qmp';
import { agentChannel, agentPath } from './agent';

type Power = NonNullable<Facets<QemuGuest>['power']>;

/** How long the agent may take to obey, milliseconds. */
const agentMs = 15_000;

/** libvirt's choice when the caller makes none: the agent if it is connected, then ACPI. */
function modesOf(guest: QemuGuest, asked: readonly PowerMode[]): readonly PowerMode[] {
  if (asked.length > 0) return asked;
  return guest.agentConnected ? ['agent', 'acpi'] : ['acpi'];
}

async function ask(
  guest: QemuGuest,
  modes: readonly PowerMode[],
  mode: 'powerdown' | 'reboot',
  signal: AbortSignal,
): Promise<void> {
  const tried = modesOf(guest, modes);
  // What an earlier call has asked for, and the guest has not done, is past.
  guest.rebootOnShutdown = false;
  for (const [index, how] of tried.entries()) {
    try {
      if (how === 'acpi') return await powerButton(guest, mode === 'reboot', signal);
      if (how !== 'agent')
        throw new VirtError('ARGUMENT_UNSUPPORTED', {
          detail: `${how} is for containers; a machine has acpi and agent`,
        });
      const command = { execute: 'guest-shutdown', arguments: { mode } };
      let seen = (): void => undefined;
      const left = new Promise<void>((resolve) => (seen = resolve));
      using _watch = guest.watch((event) => {
        if (isLeaving(guest, event)) seen();
      });
      await askAgent(agentPath(guest), command, { timeoutMs: agentMs, signal, left });
      return;
    } catch (error) {
      if (index === tried.length - 1 || !isVirtError(error)) throw error;
    }
  }
}

/** The machine ends or begins anew, or the agent is gone from its port. */
function isLeaving(guest: QemuGuest, event: QmpEvent): boolean {
  if (isEvent(event, 'VSERPORT_CHANGE')) return !event.data.open && event.data.id === agentChannel(guest)?.alias?.name;
  return isEvent(event, 'SHUTDOWN') || isEvent(event, 'RESET');
}

async function powerButton(guest: QemuGuest, reboot: boolean, signal: AbortSignal): Promise<void> {
  if (guest.live.features.acpi === undefined) {
    throw new VirtError('ARGUMENT_UNSUPPORTED', { detail: 'the domain has no ACPI; ask its guest agent instead' });
  }
  // With on_reboot=destroy a reboot is a shutdown.
  guest.rebootOnShutdown = reboot && guest.live.on_reboot !== 'destroy';
  try {
    await guest.ask('system_powerdown', undefined, signal);
  } catch (error) {
    if (isRefusal(error)) guest.rebootOnShutdown = false;
    throw error;
  }
}

export const power: Power = {
  shutdown: (guest, modes, signal) => ask(guest, modes, 'powerdown', signal),
  reboot: (guest, modes, signal) => ask(guest, modes, 'reboot', signal),
};

export const reset: NonNullable<Facets<QemuGuest>['reset']> = {
  press: async (guest, signal) => {
    await guest.ask('system_reset', undefined, signal);
  },
};
