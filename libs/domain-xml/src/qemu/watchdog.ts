/** Watchdogs, and what happens when one fires. */
import type { Watchdog } from '../elements/small-devices';
import { aliasOf, type Guest } from './context';
import { addressProps } from './device-address';
import { props, type Props } from './props';
import type { CommandWords } from './words';

export function addWatchdogs(out: CommandWords, guest: Guest): void {
  const { watchdogs } = guest.domain.devices;
  let itco = false;
  for (const watchdog of watchdogs) {
    if (watchdog.model === 'itco') itco = true;
    else out.device(watchdogProps(guest, watchdog));
  }
  // Part of the chipset: it only has to be told that it may reset the guest.
  if (itco) out.add('-global', 'ICH9-LPC.noreboot=off');
  const [first] = watchdogs;
  if (first) out.add('-watchdog-action', actionWord(first.action));
}

export const watchdogProps = (guest: Guest, watchdog: Watchdog): Props =>
  props({ driver: watchdog.model, id: aliasOf(watchdog) }, addressProps(guest, watchdog));

/** `dump` is made by us: QEMU pauses, its event tells why. */
const actionWord = (action: Watchdog['action']): string => (action === 'dump' ? 'pause' : action);
