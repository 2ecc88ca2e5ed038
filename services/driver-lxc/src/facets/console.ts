/** The container's terminals. */
import type { Facets } from '@virtbus/driver-runtime';
import type { LxcGuest } from '../guest';

export const console: NonNullable<Facets<LxcGuest>['console']> = {
  channel: (guest, device) => guest.consoles.channel(device),
};
