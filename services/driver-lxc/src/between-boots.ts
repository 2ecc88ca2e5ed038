/**
 * What is done between two boots of a container that reboots from inside. Its supervisor does it, whether we are there or not.
 *
 * liblxc makes the cgroups of a boot where there are none, or not at all: a process that was on its way into the former boot (lxc-attach, by
 * whomever) and has got no further than its cgroup would make the container end instead. So what is left there is ended, and the cgroups
 * are taken away. That is the work of the last hook: nobody enters a cgroup that is not there, and liblxc makes the next one itself.
 */
import type { HostCgroups } from './cgroups';
import type { Place } from './place';
import { shellWord } from './programs';

/** Arguments: folders of cgroups. Each is left by its own name, however deep a container has nested what is below. */
export const betweenBoots = String.raw`
use strict;
sub clear {
  my ($name) = @_;
  chdir $name or return;
  if (opendir(my $here, '.')) { clear($_) for grep { !/^\.\.?$/ && -d } readdir $here }
  if (open(my $processes, '<', 'cgroup.procs')) { kill 'KILL', grep { $_ > 0 } map { int } <$processes> }
  chdir '..' or die "..: $!\n";
  rmdir $name;
}
# What is frozen is not ended.
sub thaw {
  for my $file (['freezer.state', 'THAWED'], ['cgroup.freeze', 0]) {
    next unless -e "$_[0]/$file->[0]" && open(my $state, '>', "$_[0]/$file->[0]");
    syswrite $state, $file->[1];
  }
}
my $end = time + 10;
while ((my @left = grep { -d } @ARGV) && time < $end) {
  for (@left) { thaw($_); clear($_) }
  select undef, undef, undef, 0.005;
}
`;

/** liblxc's own shell runs one command and no more. */
const onReboot = 'test "x$LXC_TARGET" != xreboot || /usr/bin/perl "$@" || :';

/** For liblxc's configuration. @param script path of `betweenBoots` */
export function betweenBootsEntry(place: Place, cgroups: HostCgroups, script: string): [string, string] {
  const words = ['/bin/sh', '-c', onReboot, 'sh', script, ...cgroups.folders(place.cgroup.payload)];
  return ['lxc.hook.post-stop', words.map(shellWord).join(' ')];
}
