#!/usr/bin/env bash
# Unpacks the QEMU of Debian's backports beside the one that is installed, and prints the program's path: for what a
# newer QEMU does otherwise.
#
#   tools/newer-qemu/fetch.sh
#
# Nothing is installed and no privilege is needed. Its packages, and the libraries that the machine has too old or not at
# all, lie unpacked in <repo>/.cache/newer-qemu (or $VIRTBUS_CACHE/newer-qemu); the machine's own package sources say where
# they come from. Exit code 1, with one line that says why, where they cannot be had. Needs apt-get, dpkg-deb and flock.
# Any number of callers may run at once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VIRTBUS_CACHE:-$here/../../.cache}
mkdir -p "$cache/newer-qemu"
out=$(cd "$cache/newer-qemu" && pwd)
program=$out/qemu-system-x86_64

die() {
  echo "newer-qemu: $*" >&2
  exit 1
}

# The machine's own source of its release, and the same for what is ported back to it.
sources() {
  local release archive
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  archive=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$release" '$1 == release { print $2; exit }')
  [ -n "$release" ] && [ -n "$archive" ] || die 'apt has no source of the release that this machine runs'
  backports=$release-backports
  printf 'deb %s %s main\n' "$archive" "$release" "$archive" "$backports" >"$work/sources.list"
}

unpack() {
  local complaint deb
  mkdir -p "$work"/{lists,archives}/partial "$work/root"
  sources
  local apt=(apt-get -q -y -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Languages=none -o Acquire::Retries=2
    -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::Archives=$work/archives")
  "${apt[@]}" update >"$work/log" 2>&1 &&
    "${apt[@]}" install --download-only --no-install-recommends -t "$backports" qemu-system-x86 >"$work/log" 2>&1 || {
    complaint=$(grep -m1 '^[EW]: ' "$work/log" || tail -n 1 "$work/log")
    die "apt offers no QEMU of $backports ($complaint)"
  }
  for deb in "$work"/archives/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
  [ -x "$work/root/usr/bin/qemu-system-x86_64" ] || die "this machine's own QEMU is not older than that of $backports"
}

# QEMU finds its firmware beside itself; its libraries and modules must be told. Of the machine's modules, which are of
# another build, it would load those that it has not itself, and abort: so it looks for them where nothing is.
write_program() {
  LC_ALL=C sed -i 's#/usr/lib/x86_64-linux-gnu/qemu\x00#/usr/lib/x86_64-linux-gnu/none\x00#' "$work/root/usr/bin/qemu-system-x86_64"
  cat >"$work/qemu-system-x86_64" <<'SCRIPT'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu"
export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
exec "$root/usr/bin/qemu-system-x86_64" "$@"
SCRIPT
  chmod 755 "$work/qemu-system-x86_64"
}

exec 9>"$out/.lock"
flock 9
if ! [ -x "$program" ]; then
  echo 'newer-qemu: unpacking (about 15 MB of Debian packages)' >&2
  rm -rf "$out"/unpack.* "$out/root" # of one that was killed
  work=$(mktemp -d "$out/unpack.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  unpack
  write_program
  mv "$work/root" "$out/"
  mv "$work/qemu-system-x86_64" "$program"
fi
echo "$program"
