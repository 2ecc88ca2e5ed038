#!/usr/bin/env bash
# Prints the document of a container, after making a root file system for it.
#
#   tools/lxc-rootfs/example.sh [NAME] > tiny.xml
#
# Where root has subordinate ids (/etc/subuid, /etc/subgid) the driver makes the container's root nobody outside.
set -euo pipefail
name=${1:-tiny}
case $name in *[!A-Za-z0-9._-]* | .* | '') echo "usage: $0 [NAME], NAME of letters, digits, . _ -" >&2 && exit 2 ;; esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$(id -u)" = 0 ]; then state=/var/lib/virtbus; else state=${XDG_STATE_HOME:-$HOME/.local/state}/virtbus; fi
folder=${VIRTBUS_STATE_DIR:-$state}/containers
mkdir -p "$folder"
chmod 711 "$(dirname "$folder")"
# What a container's root leaves in its files for others of this host to run (setuid) would run as the host's root.
chmod 700 "$folder"

[ -e "$folder/$name/sbin/init" ] || "$here/build.sh" --into "$folder/$name" >/dev/null
cat <<XML
<domain type='lxc'>
  <name>$name</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os>
    <type>exe</type>
    <init>/sbin/init</init>
  </os>
  <features><privnet/></features>
  <devices>
    <filesystem type='mount'>
      <source dir='$folder/$name'/>
      <target dir='/'/>
    </filesystem>
    <console type='pty'/>
  </devices>
</domain>
XML
