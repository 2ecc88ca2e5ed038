/**
 * A program on a pseudo-terminal of its own, as a pair of byte streams and a size.
 *
 * Node opens no terminals; a few lines of Perl do it (package perl-base, part of every Debian), with the ioctls of
 * ioctl_tty(2). The program is ended by a hang-up when its input ends here, because it is closed or because we have died:
 * nothing is typed then. A third pipe takes sizes.
 *
 * For programs that make their terminal raw, as liblxc's do: what they find typed before that they throw away, so it waits.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { VirtError, type TerminalSize } from '@virtbus/shared';

/** Arguments: rows, columns, program and its words. Descriptor 3: `ROWS COLUMNS`, a line each. */
const script = String.raw`
use strict; use POSIX ();
my ($TIOCSPTLCK, $TIOCGPTN, $TIOCSWINSZ, $TIOCSCTTY) = (0x40045431, 0x80045430, 0x5414, 0x540E);
my ($rows, $columns, @command) = @ARGV;
my ($number, $unlocked) = (pack('i', 0), pack('i', 0));
sysopen(my $ptx, '/dev/ptmx', POSIX::O_RDWR | POSIX::O_NOCTTY) or die "cannot open /dev/ptmx: $!\n";
ioctl($ptx, $TIOCSPTLCK, $unlocked) && ioctl($ptx, $TIOCGPTN, $number) or die "no pseudo-terminal: $!\n";
sub size { ioctl($ptx, $TIOCSWINSZ, pack('S4', @_, 0, 0)) }
size($rows, $columns);
my $pid = fork(); die "fork: $!\n" unless defined $pid;
if (!$pid) {
  POSIX::setsid();
  my $name = '/dev/pts/' . unpack('i', $number);
  sysopen(my $pty, $name, POSIX::O_RDWR) or die "cannot open $name: $!\n";
  ioctl($pty, $TIOCSCTTY, 0);
  POSIX::dup2(fileno($pty), $_) for 0 .. 2;
  POSIX::close($_) for 3 .. 9;
  exec { $command[0] } @command; die "cannot run $command[0]: $!\n";
}
$SIG{CHLD} = sub { }; $SIG{PIPE} = 'IGNORE';
open(my $sizes, '<&=', 3);
fcntl($ptx, POSIX::F_SETFL, POSIX::O_RDWR | POSIX::O_NONBLOCK);
my ($typed, $lines, $raw) = ('', '', 0);
sub is_raw { my $t = POSIX::Termios->new; return defined $t->getattr(fileno($ptx)) && !($t->getlflag & POSIX::ICANON) }
my $end;
sub bit { my $bits = ''; vec($bits, fileno($_), 1) = 1 for @_; return $bits }
while (1) {
  $end = $? if !defined $end && waitpid($pid, POSIX::WNOHANG) == $pid;
  my @in = ($ptx, (length $typed > 65536 ? () : *STDIN), ($sizes ? $sizes : ()));
  $raw ||= is_raw() if length $typed;
  my $waits = length $typed && !$raw;
  my ($r, $w) = (bit(@in), length $typed && $raw ? bit($ptx) : undef);
  my $found = select($r, $w, undef, defined $end ? 0 : $waits ? 0.005 : 0.25);
  if ($found < 0) { next if $!{EINTR}; last }
  last if defined $end && !vec($r, fileno($ptx), 1);
  if (vec($r, fileno($ptx), 1)) {
    my $read = sysread($ptx, my $bytes, 65536);
    if (!$read) { next if !defined $read && $!{EAGAIN}; last }
    for (my $at = 0; $at < $read;) { my $n = syswrite(STDOUT, $bytes, $read - $at, $at); last unless defined $n; $at += $n }
  }
  if (vec($r, fileno(STDIN), 1)) { sysread(STDIN, $typed, 65536, length $typed) or exit 129 }
  if ($sizes && vec($r, fileno($sizes), 1)) {
    if (sysread($sizes, $lines, 4096, length $lines)) { while ($lines =~ s/^(\d+) (\d+)\n//) { size($1, $2) } }
    else { close $sizes; undef $sizes }
  }
  if (length $typed && $w && vec($w, fileno($ptx), 1)) {
    my $n = syswrite($ptx, $typed);
    substr($typed, 0, $n) = '' if $n;
  }
}
if (!defined $end) { waitpid($pid, 0); $end = $? }
exit($end & 127 ? 128 + ($end & 127) : $end >> 8);
`;

/** What a terminal has before anybody tells. */
export const usualSize: TerminalSize = { rows: 24, columns: 80 };

export interface PseudoTerminal {
  readonly child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
  readonly resize: (size: TerminalSize) => void;
}

/**
 * The child is a group of its own; its exit code is the program's, 128 and the signal that has ended it.
 * @throws `OPERATION_FAILED` when this process has no descriptors left for it
 */
export function onPseudoTerminal(
  command: readonly string[],
  { size = usualSize, env }: { size?: TerminalSize | undefined; env?: NodeJS.ProcessEnv | undefined },
): PseudoTerminal {
  const args = ['-e', script, String(size.rows), String(size.columns), ...command];
  const child = spawn('perl', args, {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    ...(env && { env }),
  });
  // Node leaves the streams out where it got no descriptors, whatever their types say.
  const sizes = (child.stdio as typeof child.stdio | undefined)?.[3] as Writable | undefined;
  if (!sizes) {
    // Said once more in a moment, to nobody else.
    child.on('error', () => undefined);
    throw new VirtError('OPERATION_FAILED', { detail: 'cannot open a pseudo-terminal: too many open files' });
  }
  for (const stream of [child.stdin, sizes]) stream.on('error', () => undefined);
  return {
    child,
    resize: ({ rows, columns }) => void sizes.write(`${rows} ${columns}\n`),
  };
}
