/**
 * The size of the window that a terminal of a container is shown in. liblxc passes none on to consoles, so it is set where
 * the container has the terminal: opened in its mount namespace, where no link leads out of it.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TerminalSize } from '@virtbus/shared';
import { numbers } from './mounts';

const run = promisify(execFile);

/** Arguments: setns, pid, path, rows, columns. The ioctl is TIOCSWINSZ (ioctl_tty(2)). */
const script = String.raw`
use strict; use POSIX ();
my ($setns, $pid, $path, $rows, $columns) = @ARGV;
open(my $mnt, '<', "/proc/$pid/ns/mnt") or exit 1;
syscall($setns + 0, fileno($mnt), 0x20000) == 0 or exit 1;
sysopen(my $tty, $path, POSIX::O_RDWR | POSIX::O_NOCTTY | POSIX::O_NONBLOCK) or exit 1;
ioctl($tty, 0x5414, pack('S4', $rows, $columns, 0, 0)) or exit 1;
`;

/** A terminal that is not there keeps its size. @param pid of the container's init; @param path inside */
export async function setWindow(pid: number, path: string, { rows, columns }: TerminalSize): Promise<void> {
  const call = numbers[process.arch];
  const words = [call?.setns, pid, path, rows, columns].map(String);
  if (call) await run('perl', ['-e', script, ...words]).catch(() => undefined);
}
