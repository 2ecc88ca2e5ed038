/** The tiny Linux guest (tools/tiny-guest) as a test or a benchmark boots it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkout } from './programs';

export interface TinyGuest {
  kernel: string;
  initrd: string;
  /** Kernel command line for a quick boot with the console on the first serial port. */
  append: string;
  /** Memory it boots with, all of its devices included. */
  memoryMib: number;
}

/** First words of the line on the console that tells that it is up. */
export const tinyGuestBooted = 'tiny-guest: booted';

let built: Promise<TinyGuest> | undefined;

/** Kernel and initramfs of the tiny guest, built first where that was not done (about ten seconds, needs apt). */
export async function tinyGuest(): Promise<TinyGuest> {
  built ??= build();
  return built;
}

async function build(): Promise<TinyGuest> {
  const { stdout } = await promisify(execFile)(join(checkout, 'tools', 'tiny-guest', 'build.sh'));
  const folder = stdout.trim();
  return {
    kernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initramfs.gz'),
    append: 'console=ttyS0 cryptomgr.notests no_timer_check random.trust_cpu=on',
    memoryMib: 96,
  };
}
