/**
 * Asking init: to shut down, to reboot. Through its control pipe where it has one (initctl, run levels 0 and 6), else by
 * the signal that this kind of init takes for it.
 *
 * Process 1 of a container gets no signal that it does not catch, so asking in vain is noticed beforehand. Sources:
 * systemd(1) "Signals", busybox's init, lxc.container.conf(5) `lxc.signal.*`, initctl's request of 384 bytes (sysvinit).
 */
import { closeSync, constants, fstatSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { basename } from 'node:path';
import type { Facets } from '@virtbus/driver-runtime';
import { isVirtError, VirtError, type PowerMode } from '@virtbus/shared';
import type { LxcGuest } from '../guest';
import { ofInit } from '../init';
import { openInside } from '../inside';

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
    ask(guest, modes, 'poweroff');
    guest.asked = true;
  },
  reboot: async (guest, modes) => ask(guest, modes, 'reboot'),
};

function ask(guest: LxcGuest, modes: readonly PowerMode[], wish: Wish): void {
  const tried: readonly PowerMode[] = modes.length > 0 ? modes : ['initctl', 'signal'];
  for (const [index, mode] of tried.entries()) {
    try {
      if (mode === 'initctl') return ofInit(() => askPipe(guest, wish));
      if (mode === 'signal') return ofInit(() => askBySignal(guest, wish));
      throw new VirtError('ARGUMENT_UNSUPPORTED', {
        detail: `${mode} is for machines; a container has initctl and signal`,
      });
    } catch (error) {
      if (index === tried.length - 1 || !isVirtError(error)) throw error;
    }
  }
}

function askBySignal(guest: LxcGuest, wish: Wish): void {
  const pid = guest.initPid;
  const wanted = signals[kindOf(pid)][wish];
  const caught = caughtBy(pid);
  const chosen = wanted.find((number) => caught & (1n << BigInt(number - 1)));
  if (chosen !== undefined) {
    process.kill(pid, chosen);
    return;
  }
  const names = wanted.map(nameOf).join(' nor ');
  const detail = `init of '${guest.live.name}' takes no ${names}, so it cannot be asked to ${wish === 'reboot' ? 'reboot' : 'shut down'}; use destroy`;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}

function nameOf(signal: number): string {
  const name = Object.entries(os.signals).find(([, number]) => number === signal)?.[0];
  return name ?? `SIGRTMIN+${signal - rtMin}`;
}

function kindOf(pid: number): keyof typeof signals {
  const program = basename(readlinkSync(`/proc/${pid}/exe`));
  if (program === 'systemd') return 'systemd';
  // As a shell busybox catches what its script traps; as init it has signals of its own.
  const isInit = /^(\S*\/)?(linuxrc|init)$/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '');
  return program === 'busybox' && isInit ? 'busybox' : 'other';
}

/** Bit n - 1 is signal n (proc(5)). */
function caughtBy(pid: number): bigint {
  const mask = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return BigInt(`0x${mask}`);
}

/** sysvinit's `struct init_request`: magic, command 1 (change run level), the level as a character. */
function askPipe(guest: LxcGuest, wish: Wish): void {
  const request = Buffer.alloc(384);
  request.writeUInt32LE(0x03091969, 0);
  request.writeUInt32LE(1, 4);
  request.writeUInt32LE((wish === 'reboot' ? '6' : '0').charCodeAt(0), 8);
  const root = `/proc/${guest.initPid}/root`;
  for (const path of ['run/initctl', 'dev/initctl', 'etc/.initctl']) if (write(root, path, request)) return;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail: 'Container does not provide an initctl pipe' });
}

/**
 * False where there is no pipe, or nobody reads it (ENXIO, EPIPE), or has for long (EAGAIN: it is full). A link on the way would be
 * followed to the host's own init.
 */
function write(root: string, path: string, request: Buffer): boolean {
  let fd: number | undefined;
  try {
    fd = openInside(root, path, constants.O_WRONLY);
    return fstatSync(fd).isFIFO() && writeSync(fd, request) === request.length;
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
