#!/usr/bin/env bash
# Prints the document of a container, after making a root file system for it.
#
#   tools/lxc-rootfs/example.sh [NAME] > tiny.xml
#
# Where root has subordinate ids (/etc/subuid, /etc/subgid) the container is unprivileged: its root is nobody outside.
set -euo pipefail
name=${1:-tiny}
case $name in *[!A-Za-z0-9._-]* | .* | '') echo "usage: $0 [NAME], NAME of letters, digits, . _ -" >&2 && exit 2 ;; esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$(id -u)" = 0 ]; then state=/var/lib/virtbus; else state=${XDG_STATE_HOME:-$HOME/.local/state}/virtbus; fi
folder=${VIRTBUS_STATE_DIR:-$state}/containers
mkdir -p "$folder"
# Users inside must reach their own root, not look into the folders above it.
chmod 711 "$(dirname "$folder")" "$folder"

# range FILE: first id and count of root's first range of 65536 or more.
range() { awk -F: '$1 == "root" && $3 >= 65536 { print $2, 65536; exit }' "$1" 2>/dev/null || true; }
uids=$(range /etc/subuid)
options=() idmap=''
if [ "$(id -u)" = 0 ] && [ -n "$uids" ] && [ "$uids" = "$(range /etc/subgid)" ]; then
  read -r first count <<<"$uids"
  options=(--first-id "$first")
  idmap="
  <idmap>
    <uid start='0' target='$first' count='$count'/>
    <gid start='0' target='$first' count='$count'/>
  </idmap>"
fi
[ -e "$folder/$name/sbin/init" ] || "$here/build.sh" --into "$folder/$name" "${options[@]}" >/dev/null
cat <<XML
<domain type='lxc'>
  <name>$name</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os>
    <type>exe</type>
    <init>/sbin/init</init>
  </os>$idmap
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
