#!/bin/sh
# One folder for each image out of what deploy/install.sh has laid out: split.sh LAID-OUT INTO. Files are linked, not copied.
set -eu
from=$1 into=$2 here=$(dirname "$0")
for part in services/domain services/migration services/storage services/driver-qemu services/driver-lxc cli; do
  image=$into/${part#services/}
  mkdir -p "$image/$(dirname "$part")"
  cp -al "$from/package.json" "$from/node_modules" "$from/libs" "$image/"
  cp -al "$from/$part" "$image/$part"
  cp "$here/healthy.js" "$image/"
done
cp "$here/credentials.sh" "$into/cli/"
