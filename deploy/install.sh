#!/usr/bin/env bash
# Lays out what runs: the services, the CLI, what they import, the systemd units. No compiler, no tests, no npm.
#
#   deploy/install.sh [--destdir DIR] [--prefix DIR]
#
#   PREFIX/lib/virtbus    libraries, services, CLI          (PREFIX: /usr)
#   PREFIX/bin/virtbus    the CLI
#   /etc/virtbus          a file of settings for each service, kept as it is where there is one already
#   /var/lib/virtbus      state
#   /usr/lib/systemd/system, /usr/lib/sysusers.d
#
# Run from a checkout that is built (npm ci && npm run build). Nothing is started; `--destdir` is for packages and images.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

destdir='' prefix=/usr
while [ $# -gt 0 ]; do
  case $1 in
    --destdir) destdir=${2:?} && shift 2 ;;
    --prefix) prefix=${2:?} && shift 2 ;;
    *) echo "usage: deploy/install.sh [--destdir DIR] [--prefix DIR]; there is no option '$1'" >&2 && exit 2 ;;
  esac
done
services=(domain migration storage driver-qemu driver-lxc)
[ -e services/domain/dist/main.js ] || {
  echo 'install: nothing is built here; run: npm ci && npm run build' >&2
  exit 1
}

# The packages that the services and the CLI need to run, ours and others', as folders below the checkout.
needed() {
  local parts=()
  for name in "${services[@]}"; do parts+=(-w "services/$name"); done
  # npm's exit code also tells of optional packages for other platforms.
  npm ls --omit=dev --all --parseable "${parts[@]}" -w cli 2>/dev/null | sed "s#^$PWD/##" | grep '^node_modules/' || true
}

lib=$destdir$prefix/lib/virtbus
rm -rf "$lib.new"
mkdir -p "$lib.new/node_modules/@virtbus" "$destdir$prefix/bin"
cp package.json LICENSE "$lib.new/"
mapfile -t packages < <(needed)
[ ${#packages[@]} -gt 0 ] || {
  echo 'install: npm names no packages; run: npm ci' >&2
  exit 1
}
for package in "${packages[@]}"; do
  if [ -L "$package" ]; then
    own=$(realpath --relative-to=. "$package")
    mkdir -p "$lib.new/$own"
    cp -R "$own/package.json" "$own/dist" "$lib.new/$own/"
    [ ! -d "$own/bin" ] || cp -R "$own/bin" "$lib.new/$own/"
    ln -sfn "../../$own" "$lib.new/$package"
  else
    mkdir -p "$(dirname "$lib.new/$package")"
    cp -RT "$package" "$lib.new/$package"
  fi
done
find "$lib.new" \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -name '*.test.js' \) -delete
rm -rf "$lib" && mv "$lib.new" "$lib"
ln -sfn ../lib/virtbus/cli/bin/virtbus "$destdir$prefix/bin/virtbus"

install -d -m 0755 "$destdir/etc/virtbus" "$destdir/usr/lib/systemd/system" "$destdir/usr/lib/sysusers.d"
install -d -m 0711 "$destdir/var/lib/virtbus"
for name in "${services[@]}"; do
  [ -e "$destdir/etc/virtbus/$name.env" ] || install -m 0640 "deploy/etc/$name.env" "$destdir/etc/virtbus/"
  sed "s#@prefix@#$prefix#g" "deploy/systemd/virtbus-$name.service" >"$destdir/usr/lib/systemd/system/virtbus-$name.service"
done
install -m 0644 deploy/systemd/virtbus.sysusers "$destdir/usr/lib/sysusers.d/virtbus.conf"
