#!/usr/bin/env bash
# Prints the path of promtool, which checks the rules of Prometheus: the one that is installed, or Debian's, unpacked from
# its package without the rest of it.
#
#   tools/promtool/fetch.sh
#
# Nothing is installed, nothing is started, and no privilege is needed. It lies in <repo>/.cache/promtool (or
# $VIRTBUS_CACHE/promtool). Exit code 1, with one line that says why, where it cannot be had. Needs apt-get with the lists
# of its sources, dpkg-deb and flock. Any number of callers may run at once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v promtool && exit 0

cache=${VIRTBUS_CACHE:-$here/../../.cache}
mkdir -p "$cache/promtool"
out=$(cd "$cache/promtool" && pwd)
program=$out/promtool

exec 9>"$out/.lock"
flock 9
if ! [ -x "$program" ]; then
  echo 'promtool: unpacking (about 20 MB of Debian packages)' >&2
  rm -rf "$out"/unpack.* # of one that was killed
  work=$(mktemp -d "$out/unpack.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=2 download prometheus) >"$work/log" 2>&1 || {
    echo "promtool: apt offers no prometheus ($(grep -m1 '^[EW]: ' "$work/log" || tail -n 1 "$work/log"))" >&2
    exit 1
  }
  dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar --extract --directory "$work" ./usr/bin/promtool
  mv "$work/usr/bin/promtool" "$program"
fi
echo "$program"
