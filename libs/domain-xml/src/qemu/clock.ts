/** The guest's clocks: `-rtc` and the timers of the chipset. */
import type { Domain } from '../elements/domain';
import { isX86 } from '../passes/machine';
import { hasFlag, unsupported, type Guest } from './context';
import { words } from './props';
import type { CommandWords } from './words';

export function addClock(out: CommandWords, guest: Guest): void {
  const { clock } = guest.domain;
  const rtc = timerOf(guest.domain, 'rtc');
  out.add(
    '-rtc',
    words('', {
      base: base(guest),
      clock: rtc?.track === 'guest' ? 'vm' : rtc?.track === 'realtime' ? 'rt' : undefined,
      driftfix: rtc?.tickpolicy === 'catchup' ? 'slew' : undefined,
    }),
  );
  for (const { name, tickpolicy } of clock.timers)
    if (name === 'pit' && isX86(guest.domain) && (tickpolicy === 'delay' || tickpolicy === 'discard'))
      out.add('-global', `kvm-pit.lost_tick_policy=${tickpolicy}`);
  if (timerOf(guest.domain, 'hpet')?.present === false && isX86(guest.domain) && !hasFlag(guest, 'machine-hpet'))
    out.add('-no-hpet');
}

type Timer = Domain['clock']['timers'][number];

export const timerOf = ({ clock }: Domain, name: Timer['name']): Timer | undefined =>
  clock.timers.find((timer) => timer.name === name);

/** Where the hardware clock starts: a word, or the moment in UTC that it shows. */
function base({ domain, context }: Guest): string {
  const { clock } = domain;
  switch (clock.offset) {
    case 'utc':
      return 'utc';
    case 'localtime':
    case 'timezone':
      return 'localtime';
    case 'variable': {
      const adjustment = Number(clock.adjustment ?? 0);
      const zone = clock.basis === 'localtime' ? context.now.zoneOffset : 0;
      return moment(context.now.seconds + zone + adjustment);
    }
    case 'absolute':
      return moment(clock.start ?? 0);
  }
}

/** Seconds since 1970 up to which QEMU reads a date: the end of the year 9999. */
const lastSecond = 253_402_300_799;

function moment(seconds: number): string {
  if (seconds >= 0 && seconds <= lastSecond) return new Date(seconds * 1000).toISOString().slice(0, 19);
  return unsupported(`the clock cannot start at ${seconds} seconds since 1970; it shows years from 1970 to 9999`);
}

/** QEMU asks the C library what time it is elsewhere. */
export function clockEnvironment({ clock }: Domain): Record<string, string> {
  return clock.offset === 'timezone' && clock.timezone !== undefined ? { TZ: clock.timezone } : {};
}
