#!/bin/bash
# Runs libvirtd for the benchmark: `serve.sh FOLDER`, as root in mount, pid, uts and net namespaces of its own
# (unshare --mount --pid --fork --mount-proc --kill-child --uts --net). It sees FOLDER's subfolders where it expects its
# configuration and state, so that a libvirtd of the machine is neither used nor touched.
#
# Two things would make libvirt slower than it is, and are kept away:
# - guests whose ends nobody collects: as process 1 here, this shell does (dash would not while it reads);
# - a /dev/kvm that can be opened but not used: libvirtd would probe QEMU anew at every start.
#
# Ends, and every process in the namespaces with it, when its standard input ends.
set -eu
folder=$1

mount --bind "$folder/etc" /etc/libvirt
mount --bind "$folder/run" /run/libvirt
mount --bind "$folder/lib" /var/lib/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
mount --bind "$folder/log" /var/log/libvirt
mount --bind "$folder/passwd" /etc/passwd
mount --bind "$folder/group" /etc/group
if [ -e /dev/kvm ]; then mount --bind "$folder/unreadable" /dev/kvm; fi
# Where cgroup versions 1 and 2 are both mounted, its containers fail to start; what they need is on version 1.
if [ -d /sys/fs/cgroup/memory ] && [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi
ip link set lo up
# A host is told from another by its name, too.
basename "$folder" >/proc/sys/kernel/hostname

virtlogd --pid-file "$folder/virtlogd.pid" &
libvirtd --pid-file "$folder/libvirtd.pid" &
read -r _ || true
