/** The administrator's own words to QEMU. */
import type { Facets } from '@virtbus/driver-runtime';
import type { QemuGuest } from '../guest';

export const monitor: NonNullable<Facets<QemuGuest>['monitor']> = {
  execute: (guest, { execute, arguments: args, hmp }, signal) =>
    hmp === undefined
      ? guest.askRaw(execute ?? '', args, signal)
      : guest.askRaw('human-monitor-command', { 'command-line': hmp }, signal),
};
