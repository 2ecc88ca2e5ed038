#!/usr/bin/env bash
# The base of our images where no registry can be reached: Debian 12 from its packages, and this machine's Node.
#
#   deploy/base-image.sh TAG
#
# Needs root, debootstrap, an engine that `docker` reaches, and Debian's archive (VIRTBUS_DEBIAN_MIRROR: another than the
# first one of this machine's apt). What debootstrap has made is kept in .cache/base-image and used again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tag=${1:?usage: deploy/base-image.sh TAG}
suite=bookworm

# The first http address that apt has for this suite.
mirror() {
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk -v suite=$suite '$2 == suite { print $1; exit }'
}

cache=.cache/base-image
if [ ! -e "$cache/$suite.tar" ]; then
  mkdir -p "$cache"
  root=$(mktemp -d "$PWD/$cache/root.XXXXXX")
  trap 'rm -rf --one-file-system "$root"' EXIT
  # Manuals and translations are left out, here and by later installations; a file system that is thrown away when it is
  # incomplete need not be flushed file by file.
  mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
  printf '%s\n' force-unsafe-io path-exclude=/usr/share/{doc,man,locale,info}/'*' >"$root/etc/dpkg/dpkg.cfg.d/small"
  source=${VIRTBUS_DEBIAN_MIRROR:-$(mirror)}
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${source:+"$source"} >"$cache/debootstrap.log" 2>&1 || {
    tail -n 3 "$cache/debootstrap.log" >&2
    exit 1
  }
  rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
    "$root"/usr/share/{doc,man,locale,info} "$root"/var/log/*
  echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/small"
  tar --create --file "$cache/$suite.tar.part" --directory "$root" --numeric-owner .
  mv "$cache/$suite.tar.part" "$cache/$suite.tar"
fi

system=$(docker import "$cache/$suite.tar")
context=$(mktemp -d)
trap 'rm -rf "${root:-}" "$context"' EXIT
cp "$(readlink -f "$(command -v node)")" "$context/node"
docker build --quiet --network=host --tag "$tag" --file - "$context" <<DOCKERFILE
FROM $system
COPY node /usr/local/bin/node
RUN /usr/local/bin/node --version
DOCKERFILE
