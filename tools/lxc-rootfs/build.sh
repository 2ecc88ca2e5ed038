#!/usr/bin/env bash
# Makes a tiny root file system for containers out of the busybox that is installed, without a network.
#
#   tools/lxc-rootfs/build.sh                             build it where that was not done; print the folder it is in
#   tools/lxc-rootfs/build.sh --into DIR [--first-id N]   one of its own for a container, in a new or empty folder
#   tools/lxc-rootfs/build.sh --image FILE [--size MIB]   the same as an ext4 image (default 8 MiB)
#
# The folder (<repo>/.cache/lxc-rootfs, or $VIRTBUS_CACHE/lxc-rootfs) then holds `rootfs.tar`, which is the same byte for
# byte whoever makes it of the same busybox, and `manifest`. With --first-id everything belongs to user and group N, who are
# root inside a container whose <idmap> maps 0 to N; that needs root. Needs busybox-static, tar, flock, and mke2fs for an image.
# Any number of callers may run at once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin # mke2fs lives there
cache=${VIRTBUS_CACHE:-$here/../../.cache}

die() {
  echo "lxc-rootfs: $*" >&2
  exit 1
}
usage() { die 'usage: tools/lxc-rootfs/build.sh [--into DIR [--first-id N] | --image FILE [--size MIB]]'; }

into='' image='' first_id='' size=8
while [ $# -gt 0 ]; do
  [ -n "${2:-}" ] || usage
  case $1 in
    --into) into=$2 ;;
    --image) image=$2 ;;
    --first-id) first_id=$2 ;;
    --size) size=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[[ $first_id =~ ^[0-9]*$ && $size =~ ^[0-9]+$ ]] || usage
[ -z "$into" ] || [ -z "$image" ] || usage
[ -z "$first_id" ] || [ -n "$into" ] || usage

busybox=$(command -v busybox) || die 'busybox is missing; as root run: apt-get install busybox-static'
# Libraries of this system are not there inside.
! ldd "$busybox" 2>/dev/null | grep -q '=>' ||
  die "$busybox needs libraries of this system; as root run: apt-get install busybox-static"

mkdir -p "$cache/lxc-rootfs"
out=$(cd "$cache/lxc-rootfs" && pwd)
inputs_now() { (cd "$here" && { find build.sh rootfs -type f -print0 | sort -z | xargs -0 sha256sum; sha256sum <"$busybox"; } | sha256sum | cut -d' ' -f1); }

build() {
  local root=$work/rootfs
  mkdir -p "$root"/{bin,sbin,usr,dev,proc,sys,run,tmp,etc,root,mnt,srv,var}
  ln -s ../bin ../sbin "$root/usr/"
  cp "$busybox" "$root/bin/busybox"
  "$root/bin/busybox" --install "$root/bin" # hard links: one process makes them all
  rm "$root"/bin/{init,linuxrc,reboot}      # ours are in sbin
  cp -R "$here/rootfs/." "$root/"
  chmod -R u=rwX,go=rX "$root"
  chmod 1777 "$root/tmp"
  chmod 700 "$root/root"
  rm -f "$out/manifest" # from here on incomplete until the new one is in place
  tar --create --file "$work/rootfs.tar" --directory "$root" --sort=name --mtime=@0 --format=gnu \
    --owner=0 --group=0 --numeric-owner .
  mv "$work/rootfs.tar" "$out/"
  echo "inputs $inputs" >"$work/manifest"
  mv "$work/manifest" "$out/manifest"
}

# A folder that was there must be empty, so that no file of somebody else ends up in a container.
unpack() {
  mkdir -p "$1"
  [ -z "$(ls -A "$1")" ] || die "$1 is not empty"
  tar --extract --file "$out/rootfs.tar" --directory "$1" --preserve-permissions --numeric-owner
}

make_image() {
  command -v mke2fs >/dev/null || die 'mke2fs is missing; as root run: apt-get install e2fsprogs'
  unpack "$work/image"
  mke2fs -q -t ext4 -E root_owner=0:0 -d "$work/image" "$work/image.ext4" "${size}M" >"$work/mke2fs.log" 2>&1 ||
    die "could not make an image of $size MiB: $(grep -v '^mke2fs' "$work/mke2fs.log" | tail -n 1)"
  mv "$work/image.ext4" "$image"
}

exec 9>"$out/.lock"
flock 9
rm -rf "$out"/build.* # of a run that was killed
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
inputs=$(inputs_now)
[ -s "$out/rootfs.tar" ] && grep -qxs "inputs $inputs" "$out/manifest" || build

if [ -n "$into" ]; then
  unpack "$into"
  [ -z "$first_id" ] || chown --recursive --no-dereference "$first_id:$first_id" "$into" ||
    die "only root can give files to user $first_id"
  (cd "$into" && pwd)
elif [ -n "$image" ]; then
  make_image
  echo "$image"
else
  echo "$out"
fi
