/**
 * Asking init: to shut down, to reboot. Through its control pipe where it has one (initctl, run levels 0 and 6), else by
 * the signal that this kind of init takes for it.
 *
 * Process 1 of a container gets no signal that it does not catch, so asking in vain is noticed beforehand. Sources:
 * systemd(1) "Signals", busybox's init, lxc.container.conf(5) `lxc.signal.*`, initctl's request of 384 bytes (sysvinit).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { constants as os } from 'node:os';
import { basename } from 'node:path';
import type { Facets } from '@virtbus/driver-runtime';
import { isVirtError, VirtError, type PowerMode } from '@virtbus/shared';
import type { LxcGuest } from '../guest';
import { noInit, ofInit } from '../init';
import { outputInside } from '../programs';

type Wish = 'poweroff' | 'reboot';

const { SIGHUP, SIGINT, SIGPWR, SIGTERM, SIGUSR2 } = os.signals;
/** SIGRTMIN + 4 as glibc counts: halts are 3, power-off is 4, reboot is 5. */
const rtMin = 34;

/** Signals for each wish, the first that is caught is sent. */
const signals: Record<'systemd' | 'busybox' | 'other', Record<Wish, readonly number[]>> = {
  systemd: { poweroff: [rtMin + 4], reboot: [rtMin + 5] },
  busybox: { poweroff: [SIGUSR2], reboot: [SIGTERM] },
  other: { poweroff: [SIGPWR, SIGTERM], reboot: [SIGINT, SIGHUP] },
};

export const power: NonNullable<Facets<LxcGuest>['power']> = {
  shutdown: async (guest, modes) => {
    const before = guest.asked;
    // It may obey before we hear that it was asked.
    guest.asked = true;
    try {
      await ask(guest, modes, 'poweroff');
    } catch (error) {
      guest.asked = before;
      throw error;
    }
  },
  reboot: (guest, modes) => ask(guest, modes, 'reboot'),
};

async function ask(guest: LxcGuest, modes: readonly PowerMode[], wish: Wish): Promise<void> {
  const tried: readonly PowerMode[] = modes.length > 0 ? modes : ['initctl', 'signal'];
  for (const [index, mode] of tried.entries()) {
    try {
      if (mode === 'initctl') return await askPipe(guest, wish);
      if (mode === 'signal') return await askBySignal(guest, wish);
      throw new VirtError('ARGUMENT_UNSUPPORTED', {
        detail: `${mode} is for machines; a container has initctl and signal`,
      });
    } catch (error) {
      if (index === tried.length - 1 || !isVirtError(error)) throw error;
    }
  }
}

async function askBySignal(guest: LxcGuest, wish: Wish): Promise<void> {
  const pid = guest.initPid;
  const wanted = signals[await kindOf(pid)][wish];
  // It may have rebooted meanwhile.
  if (guest.initPid !== pid) throw noInit();
  const caught = ofInit(() => caughtBy(pid));
  const chosen = wanted.find((number) => caught & (1n << BigInt(number - 1)));
  if (chosen !== undefined) return void ofInit(() => process.kill(pid, chosen));
  const names = wanted.map(nameOf).join(' nor ');
  const detail = `init of '${guest.live.name}' takes no ${names}, so it cannot be asked to ${wish === 'reboot' ? 'reboot' : 'shut down'}; use destroy`;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}

function nameOf(signal: number): string {
  const name = Object.entries(os.signals).find(([, number]) => number === signal)?.[0];
  return name ?? `SIGRTMIN+${signal - rtMin}`;
}

async function kindOf(pid: number): Promise<keyof typeof signals> {
  const program = basename(ofInit(() => readlinkSync(`/proc/${pid}/exe`)));
  if (program === 'systemd') return 'systemd';
  if (program !== 'busybox') return 'other';
  // As a shell busybox catches what its script traps; as init it has signals of its own. Its memory may be mapped from anywhere.
  const words = await outputInside('cat', [`/proc/${pid}/cmdline`], 'cannot find out which kind of init it is');
  return /^(\S*\/)?(linuxrc|init)$/.test(words.split('\0')[0]!) ? 'busybox' : 'other';
}

/** Bit n - 1 is signal n (proc(5)). */
function caughtBy(pid: number): bigint {
  const mask = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return BigInt(`0x${mask}`);
}

/**
 * Arguments: a root, a run level. Says nothing where there is no pipe, or nobody reads it (ENXIO, EPIPE), or has for long (EAGAIN: it is
 * full). A link on the way would be followed to the host's own init, whose pipe is none of the container's either, should it see it.
 * The request is sysvinit's `struct init_request`: magic, command 1 (change run level), the level as a character.
 */
const script = String.raw`
use strict; use Fcntl;
my ($root, $level) = @ARGV;
my $request = pack('a384', pack('L3', 0x03091969, 1, ord $level));
sub file { my ($device, $inode) = stat $_[0]; return defined $inode ? "$device $inode" : '' }
my @paths = ('run/initctl', 'dev/initctl', 'etc/.initctl');
my %hosts = map { (file("/$_") => 1) } @paths;
for (@paths) {
  my ($folder, $name) = split m{/};
  sysopen(my $at, $root, O_RDONLY | O_DIRECTORY) or die "$root: $!\n";
  sysopen(my $in, '/proc/self/fd/' . fileno($at) . "/$folder", O_RDONLY | O_DIRECTORY | O_NOFOLLOW) or next;
  sysopen(my $pipe, '/proc/self/fd/' . fileno($in) . "/$name", O_WRONLY | O_NONBLOCK | O_NOFOLLOW) or next;
  next unless -p $pipe && !$hosts{file($pipe)};
  $SIG{PIPE} = 'IGNORE';
  if ((syswrite($pipe, $request) // 0) == length $request) { print 'asked'; last }
}
`;

async function askPipe(guest: LxcGuest, wish: Wish): Promise<void> {
  const root = `/proc/${guest.initPid}/root`;
  const words = ['-e', script, root, wish === 'reboot' ? '6' : '0'];
  const answer = await outputInside('perl', words, 'cannot look for an initctl pipe').catch((error: unknown) => {
    // It may have ended.
    void guest.initPid;
    throw error;
  });
  if (answer === '')
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: 'Container does not provide an initctl pipe' });
}
