/**
 * Mounting into a container that runs, and taking such a mount away.
 *
 * A mount made in one mount namespace cannot be moved into another with mount(2); a detached copy of it can, with open_tree(2)
 * and move_mount(2).
 * Mount points are made by a process that is in the container's user namespace too, so that they belong to its ids.
 */
import { readFileSync } from 'node:fs';
import { VirtError } from '@virtbus/shared';
import { ofInit } from './init';
import { outputInside } from './programs';
import { knowsSystemCalls, systemCalls } from './system-calls';

/** Arguments: pid, `attach` or `detach`, source, target, `ro` or `rw`, `dir` or `file`, `map` or nothing. */
const script = String.raw`${systemCalls}
my ($pid, $what, $source, $target, $access, $kind, $ids) = @ARGV;
sub enter { my ($ns, $flag) = @_; open(my $fh, '<', "/proc/$pid/ns/$ns") or die "namespace $ns: $!\n"; call('setns', fileno($fh), $flag) }
if ($what eq 'detach') { enter('mnt', 0x20000); call('umount2', "$target\0", 2); exit 0 }
my $user;
if ($ids eq 'map') { open($user, '<', "/proc/$pid/ns/user") or die "namespace user: $!\n" }
my $copy = copy_of($source, $access, $user, 0);
my $child = fork(); die "fork: $!\n" unless defined $child;
if (!$child) {
  my $own = readlink("/proc/$pid/ns/user") ne readlink("/proc/self/ns/user");
  open(my $mnt, '<', "/proc/$pid/ns/mnt") or die "namespace mnt: $!\n";
  if ($own) { enter('user', 0x10000000); $( = $) = 0; $< = $> = 0 }
  call('setns', fileno($mnt), 0x20000);
  my $path = '';
  my @parts = grep { length } split m{/}, $target;
  my $last = pop @parts;
  for (@parts) { $path .= "/$_"; mkdir $path; }
  $path .= "/$last";
  if (!-e $path) {
    if ($kind eq 'dir') { mkdir $path or die "cannot make $path: $!\n" }
    else { open(my $f, '>', $path) or die "cannot make $path: $!\n" }
  }
  exit 0;
}
waitpid($child, 0); exit 1 if $?;
enter('mnt', 0x20000);
call('move_mount', $copy, "\0", -100, "$target\0", 4);
`;

export interface Mount {
  /** On the host: a folder, a file, a device node. */
  source: string;
  /** In the container; made when it is not there. */
  target: string;
  readonly: boolean;
  kind: 'dir' | 'file';
  /** The files show the container's ids. */
  mapped: boolean;
}

/** Throws `OPERATION_FAILED` with the kernel's words. @param pid of the container's init */
export function mountInto(pid: number, { source, target, readonly, kind, mapped }: Mount): Promise<void> {
  const how = [readonly ? 'ro' : 'rw', kind, mapped ? 'map' : ''];
  return perl(pid, ['attach', source, target, ...how], `cannot mount '${source}' at '${target}'`);
}

/**
 * Where something is mounted, as that process sees it, in the order it was mounted (proc(5), mountinfo). Throws
 * `OPERATION_INVALID` when it has ended.
 */
export function mountPoints(pid: number | 'self'): string[] {
  const lines = ofInit(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8')).split('\n');
  // What would end a word is octal.
  const told = (word: string): string => word.replace(/\\([0-7]{3})/g, (_all, octal: string) => character(octal));
  return lines.map((line) => told(line.split(' ')[4] ?? ''));
}

const character = (octal: string): string => String.fromCharCode(parseInt(octal, 8));

/** Does a mount of its own lie there inside? */
export const isMounted = (pid: number, target: string): boolean => mountPoints(pid).includes(target);

/** Does nothing where nothing is mounted: an earlier attempt came so far. */
export async function unmountFrom(pid: number, target: string): Promise<void> {
  try {
    await perl(pid, ['detach', '', target, '', '', ''], `cannot unmount '${target}'`);
  } catch (error) {
    if (!/: (Invalid argument|No such file or directory)$/.test((error as Error).message)) throw error;
  }
}

async function perl(pid: number, args: string[], what: string): Promise<void> {
  if (!knowsSystemCalls)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `mounting into a running container is not known on ${process.arch}`,
    });
  await outputInside('perl', ['-e', script, String(pid), ...args], what);
}
