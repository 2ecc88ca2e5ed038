/** Pressing keys. */
import type { Facets } from '@virtbus/driver-runtime';
import type { QemuGuest } from '../guest';
import { qcodeOf } from '../key-codes';

export const keyboard: NonNullable<Facets<QemuGuest>['keyboard']> = {
  sendKey: async (guest, keys, { codeset, holdMs, signal }) => {
    const pressed = keys.map((key) => qcodeOf(key, codeset));
    await guest.ask(
      'send-key',
      { keys: pressed.map((data) => ({ type: 'qcode', data })), ...(holdMs ? { 'hold-time': holdMs } : {}) },
      signal,
    );
  },
};
