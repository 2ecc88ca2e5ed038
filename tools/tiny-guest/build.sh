#!/usr/bin/env bash
# Builds the tiny Linux guest that demo and tests boot, from Debian packages alone, and prints the folder it is in.
#
#   tools/tiny-guest/build.sh [--refresh]
#
# The folder (<repo>/.cache/tiny-guest, or $VIRTBUS_CACHE/tiny-guest) then holds `vmlinuz`, `initramfs.gz` and
# `manifest`, which names every input. It is built again only when this folder's files changed, or with --refresh,
# which also takes newer packages. Packages are downloaded and unpacked below the cache; nothing is installed and no
# privilege is needed. Needs apt-get, dpkg-deb, flock and gzip. Any number of callers may run at once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VIRTBUS_CACHE:-$here/../../.cache}
mkdir -p "$cache/tiny-guest"
out=$(cd "$cache/tiny-guest" && pwd)

# Drivers of the guest, in loading order; what they depend on is added before them. Absent ones are left out.
drivers='virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio-rng button evdev
  sd_mod sr_mod virtio_scsi ata_piix ahci e1000 e1000e pvpanic-pci pvpanic-mmio iTCO_wdt i6300esb'

die() {
  echo "tiny-guest: $*" >&2
  exit 1
}

inputs_now() { (cd "$here" && find build.sh rootfs -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1); }
up_to_date() {
  [ -s "$out/vmlinuz" ] && [ -s "$out/initramfs.gz" ] && grep -qxs "inputs $inputs" "$out/manifest"
}

apt_options=(-q -o APT::Sandbox::User=root)
apt_knows() { apt-cache "${apt_options[@]}" show linux-image-cloud-amd64 >/dev/null 2>&1; }

apt_complaint() { grep -m1 '^[EW]: ' "$work/apt.log" || tail -n 1 "$work/apt.log"; }

# Fresh package lists of our own, which need no privilege: for when the system has none, or old ones.
use_own_lists() {
  mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
  apt_options+=(-o "Dir::State::Lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache")
  apt-get "${apt_options[@]}" update >"$work/apt.log" 2>&1 && apt_knows ||
    die "apt offers no linux-image-cloud-amd64 ($(apt_complaint)); see what this says: sudo apt-get update"
}

# The packages to fetch: the kernel behind the meta package, busybox, and the guest agent with the libraries it loads
# (its dependencies, followed through libraries only).
wanted_packages() {
  apt-cache "${apt_options[@]}" depends --recurse --important linux-image-cloud-amd64 qemu-guest-agent | awk '
    /^[^ ]/ { package = $1 }
    $1 ~ /^\|?(Pre)?Depends:$/ && $2 !~ /^</ { needs[package] = needs[package] " " $2 }
    function follow(package,   words, n, i) {
      if (package in seen) return
      seen[package] = 1
      print package
      n = split(needs[package], words, " ")
      for (i = 1; i <= n; i++) if (words[i] ~ /^(lib|zlib)/) follow(words[i])
    }
    END {
      if (match(needs["linux-image-cloud-amd64"], /linux-image-[^ ]+/))
        print substr(needs["linux-image-cloud-amd64"], RSTART, RLENGTH)
      print "busybox-static"
      follow("qemu-guest-agent")
    }'
}

download() {
  mapfile -t packages < <(wanted_packages)
  (cd "$work/debs" && apt-get "${apt_options[@]}" download "${packages[@]}" >"$work/apt.log" 2>&1)
}

fetch_and_unpack() {
  local packages
  mkdir "$work/debs" "$work/root"
  apt_knows && download || { use_own_lists && download; } || {
    die "cannot download its packages ($(apt_complaint)); try: cd /tmp && apt-get download ${packages[*]}"
  }
  for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/root" || die "cannot unpack ${deb##*/}; try again with --refresh"
    echo "package $(dpkg-deb -f "$deb" Package) $(dpkg-deb -f "$deb" Version)" >>"$work/packages"
  done
}

# Copies the wanted modules to the guest and writes their loading order, dependencies first.
add_modules() {
  local release tree=$work/root/lib/modules # newer Debian releases have all of it below usr
  [ -d "$tree" ] || tree=$work/root/usr/lib/modules
  release=$(ls "$tree")
  find "$tree" -name '*.ko.xz' -exec "$guest/bin/busybox" unxz {} +
  "$guest/bin/busybox" depmod -b "${tree%/lib/modules}" "$release"
  mkdir -p "$guest/lib/modules"
  awk -v wanted="$drivers" '
    { name = $1; sub(/.*\//, "", name); sub(/\.ko:$/, "", name); path[name] = $1; sub(/:$/, "", path[name]); needs[name] = $0 }
    function add(name,   words, n, i, other) {
      if (!(name in path) || (name in done)) return
      done[name] = 1
      n = split(needs[name], words, " ")
      for (i = 2; i <= n; i++) { other = words[i]; sub(/.*\//, "", other); sub(/\.ko$/, "", other); add(other) }
      print path[name]
    }
    END { n = split(wanted, list, " "); for (i = 1; i <= n; i++) add(list[i]) }
  ' "$tree/$release/modules.dep" | while read -r path; do
    cp "$tree/$release/$path" "$guest/lib/modules/"
    basename "$path"
  done >"$guest/lib/modules/order"
}

add_programs() {
  mkdir -p "$guest"/{bin,dev,proc,sys,run,tmp,etc,lib,lib64}
  find "$work/root" -name busybox -type f -perm -1 -exec cp {} "$guest/bin/" \;
  (cd "$guest/bin" && ./busybox --list | grep -vx busybox | xargs -I{} ln -s busybox {})
  cp -a "$here/rootfs/." "$guest/"
  local agent loader libraries
  agent=$(find "$work/root" -name qemu-ga -type f)
  loader=$(find "$work/root" -name 'ld-linux-x86-64.so.2' -path '*lib*' | head -n 1)
  libraries=$(find "$work/root" -type d -path '*lib/x86_64-linux-gnu' | paste -sd:)
  cp "$agent" "$guest/bin/qemu-ga"
  cp -L "$loader" "$guest/lib64/ld-linux-x86-64.so.2"
  "$loader" --library-path "$libraries" --list "$agent" | awk -v root="$work/root" 'index($3, root) == 1 { print $3 }' |
    while read -r library; do cp -L "$library" "$guest/lib/"; done
}

build() {
  [ "$(dpkg --print-architecture)" = amd64 ] || die "builds on amd64 only, this is $(dpkg --print-architecture)"
  fetch_and_unpack
  guest=$work/guest
  mkdir "$guest"
  add_programs
  add_modules
  cp "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
  (cd "$guest" && find . -mindepth 1 | LC_ALL=C sort | bin/busybox cpio -o -H newc -R 0:0 2>/dev/null | gzip -n -9) >"$work/initramfs.gz"
  rm -f "$out/manifest" # from here on incomplete until the new one is in place
  mv "$work/vmlinuz" "$work/initramfs.gz" "$out/"
  { echo "inputs $inputs" && cat "$work/packages"; } >"$work/manifest"
  mv "$work/manifest" "$out/manifest"
  rm -rf "$out/apt"
}

exec 9>"$out/.lock"
flock 9
inputs=$(inputs_now)
if [ "${1:-}" = --refresh ] || ! up_to_date; then
  echo 'tiny-guest: building (about 30 MB of Debian packages)' >&2
  rm -rf "$out"/build.* # of a build that was killed
  work=$(mktemp -d "$out/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  build
fi
echo "$out"
