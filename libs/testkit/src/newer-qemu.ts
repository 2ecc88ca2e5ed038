/** A newer QEMU than the installed one, unpacked beside it (tools/newer-qemu): for what QEMU does otherwise since. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { checkout } from './programs';
import { requirement, type Requirement } from './requirement';

/** Unpacking takes a few seconds once, and needs apt. */
const patienceMs = 120_000;

/** Path of its qemu-system-x86_64; undefined where it cannot be had. */
function fetchNewerQemu(): string | undefined {
  const fetch = join(checkout, 'tools', 'newer-qemu', 'fetch.sh');
  const { status, stdout } = spawnSync(fetch, { encoding: 'utf8', timeout: patienceMs });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * The QEMU of Debian's backports as a requirement. `copyTo` lays it in a folder where the user that guests run as can read
 * it, wherever the checkout lies, and returns the program's path.
 */
export function needsNewerQemu(): Requirement & { copyTo(folder: string): string } {
  const program = fetchNewerQemu();
  const copyTo = (folder: string): string => {
    if (!program) throw new Error('no newer QEMU is here');
    mkdirSync(folder, { mode: 0o755 });
    for (const part of [basename(program), 'root']) {
      cpSync(join(dirname(program), part), join(folder, part), { recursive: true, verbatimSymlinks: true });
    }
    return join(folder, basename(program));
  };
  return { ...requirement('a newer QEMU from the backports of this Debian', () => program !== undefined), copyTo };
}
