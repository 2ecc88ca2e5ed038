/**
 * Where liblxc finds the root file system of a container, at its start and at each reboot from inside.
 *
 * Files that belong to the host's ids are shown with the container's by a mapped mount (mount_setattr(2)). liblxc makes it at the
 * start, but forgets that it should before it boots again (5.0.2: what the root is mounted with is cleared when a container ends).
 * So such a root is at a path of ours: a link to it at first, and from the first reboot on a mapped mount, which a hook puts there
 * while the container is down. A start waits for neither.
 */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { mapsRoot } from './configuration';
import { makeMountFolder } from './host-mounts';
import type { Place } from './place';
import { shellWord } from './programs';
import { systemCalls } from './system-calls';

/** Arguments: where the root is to be, where it is, `ro` or `rw`, its uid map, its gid map. */
export const rootAgain = String.raw`${systemCalls}
my ($point, $source, $access, @maps) = @ARGV;
exit 0 unless -l $point;
pipe(my $is, my $made) or die "pipe: $!\n";
pipe(my $over, my $done) or die "pipe: $!\n";
my $child = fork(); die "fork: $!\n" unless defined $child;
if (!$child) {
  close $is; close $done;
  call('unshare', 0x10000000);
  syswrite $made, '.';
  sysread $over, my $word, 1;
  exit 0;
}
close $made; close $over;
sysread($is, my $word, 1) or die "no user namespace\n";
for my $file ('uid_map', 'gid_map') {
  open(my $map, '>', "/proc/$child/$file") or die "$file: $!\n";
  (my $lines = shift @maps) =~ tr/;/\n/;
  syswrite($map, $lines) or die "$file: $!\n";
}
open(my $user, '<', "/proc/$child/ns/user") or die "namespace user: $!\n";
# With what is mounted below it where that can be mapped, too.
my $root = eval { copy_of($source, $access, $user, 1) } // copy_of($source, $access, $user, 0);
# Only now: what fails before leaves nothing that liblxc would boot in, or make folders in.
unlink $point or die "$point: $!\n";
mkdir $point, 0755 or die "$point: $!\n";
eval { call('move_mount', $root, "\0", -100, "$point\0", 4); 1 } or do { rmdir $point; die $@ };
`;

/** Rather no boot than one whose root belongs to nobody. */
const onReboot = 'test "x$LXC_TARGET" != xreboot || /usr/bin/perl "$@" || rm -f -- "$2"';

/** For one start. */
export interface PlacedRoot {
  /** For liblxc; left out: the source as the document has it. */
  path?: string | undefined;
  /** For liblxc's configuration. */
  entries: [string, string][];
}

/**
 * @param mounted where what the host has mounted for it is, by its source
 * @param script path of `rootAgain`
 */
export function placeRoot(
  live: Domain,
  place: Place,
  mounted: ReadonlyMap<string, string>,
  script: string,
): PlacedRoot {
  const root = live.devices.filesystems.find(({ target }) => target?.dir === '/');
  const { dir, file, dev } = root?.source ?? {};
  const source = mounted.get(file ?? dev ?? dir ?? '') ?? dir;
  const { idmap } = live;
  // One that does not boot again needs no second mount.
  if (!root || source === undefined || !idmap || !mapsRoot(live) || live.on_reboot === 'destroy')
    return { path: source === dir ? undefined : source, entries: [] };
  makeMountFolder({ path: place.mounts, idmap });
  const path = join(place.mounts, 'root');
  symlinkSync(source, path);
  const maps = [idmap.uids, idmap.gids].map((ranges) =>
    ranges.map(({ start, target, count }) => `${start} ${target} ${count}`).join(';'),
  );
  const words = [script, path, source, root.readonly ? 'ro' : 'rw', ...maps];
  const again = ['/bin/sh', '-c', onReboot, 'sh', ...words].map(shellWord).join(' ');
  return {
    path,
    entries: [['lxc.hook.stop', again]],
  };
}
