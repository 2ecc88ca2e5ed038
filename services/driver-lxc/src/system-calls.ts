/**
 * System calls that Node has not: a few lines of Perl make them, which is part of every Debian (package perl-base). A script begins
 * with `systemCalls`.
 */

/** Older calls have other numbers on each architecture. */
const older: Readonly<Partial<Record<NodeJS.Architecture, Readonly<Record<string, number>>>>> = {
  x64: { setns: 308, umount2: 166, unshare: 272 },
  arm64: { setns: 268, umount2: 39, unshare: 97 },
};
/** The newer ones have the same everywhere. */
const newer = { open_tree: 428, move_mount: 429, mount_setattr: 442 };

/** Whether they have numbers here. */
export const knowsSystemCalls = older[process.arch] !== undefined;

const numbers = Object.entries({ ...older[process.arch], ...newer }).map(([name, number]) => `${name} => ${number}`);

/**
 * `call(name, arguments)` dies with the kernel's words. `copy_of(source, access, user, recursive)` is a mount as yet nowhere, of what
 * is mounted at a path, `ro` or not; where a user namespace is given, an open file, with its ids (Linux 5.12).
 */
export const systemCalls = String.raw`
use strict;
my %number = (${numbers.join(', ')});
# Arguments are copied: syscall wants text that it could write to.
sub call {
  my ($name, @args) = @_;
  my $result = syscall($number{$name}, @args);
  die "$name: $!\n" if $result < 0;
  return $result;
}
sub copy_of {
  my ($source, $access, $user, $recursive) = @_;
  my $below = $recursive ? 0x8000 : 0;
  my $copy = call('open_tree', -100, "$source\0", 0x80001 | $below);
  my $attributes = ($access eq 'ro' ? 1 : 0) | ($user ? 0x100000 : 0);
  # A slave: what is mounted or unmounted in the copy is no matter of the original's, which the host may share (mount_namespaces(7)).
  my $how = pack('Q4', $attributes, 0, 0x80000, $user ? fileno($user) : 0);
  call('mount_setattr', $copy, "\0", 0x1000 | $below, $how, 32);
  return $copy;
}
`;
