/**
 * The size of the window that a terminal of a container is shown in. liblxc passes none on to consoles, so it is set where
 * the container has the terminal: opened in its mount namespace, where no link leads out of it.
 */
import type { TerminalSize } from '@virtbus/shared';
import { outputInside } from './programs';
import { systemCalls } from './system-calls';

/** Arguments: pid, path, rows, columns. The ioctl is TIOCSWINSZ (ioctl_tty(2)). */
const script = String.raw`${systemCalls}
use POSIX ();
my ($pid, $path, $rows, $columns) = @ARGV;
open(my $mnt, '<', "/proc/$pid/ns/mnt") or exit 1;
call('setns', fileno($mnt), 0x20000);
sysopen(my $tty, $path, POSIX::O_RDWR | POSIX::O_NOCTTY | POSIX::O_NONBLOCK) or exit 1;
ioctl($tty, 0x5414, pack('S4', $rows, $columns, 0, 0)) or exit 1;
`;

/** A terminal that is not there keeps its size. @param pid of the container's init; @param path inside */
export async function setWindow(pid: number, path: string, { rows, columns }: TerminalSize): Promise<void> {
  const words = [pid, path, rows, columns].map(String);
  await outputInside('perl', ['-e', script, ...words], `cannot size ${path}`).catch(() => undefined);
}
