#!/usr/bin/env bash
# Makes a Debian machine with Node 20 ready for `npm start`, `npm run demo` and `npm test`: installs what is missing from
# the system, then the dependencies, then builds. Says one line per thing it does and nothing when there is none.
#
#   tools/bootstrap.sh --for start|demo|test|containers
#
# What cannot be done is named with the command that does it (exit code 1). Installing needs root or sudo; everything
# else does not. With VIRTBUS_NATS_URL set, `start` uses that server and needs no nats-server of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # nats-server and ip live there, and users often have it not

say() { echo "bootstrap: $*"; }
die() {
  say "$*" >&2
  exit 1
}

case "${1:-} ${2:-}" in
  '--for start' | '--for demo' | '--for test' | '--for containers') purpose=$2 ;;
  *) die 'usage: tools/bootstrap.sh --for start|demo|test|containers' ;;
esac

check_node() {
  command -v node >/dev/null || die 'Node.js is missing; install Node 20.19 or newer (https://nodejs.org/en/download)'
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    die "Node.js $(node -p process.versions.node) is too old; install 20.19 or newer (https://nodejs.org/en/download)"
}

# Fills `missing` with the Debian packages of the programs that are not there.
find_missing() {
  missing=()
  local program package
  while read -r program package; do
    [ "$program" = nats-server ] && [ "$purpose" = start ] && [ -n "${VIRTBUS_NATS_URL:-}" ] && continue
    command -v "$program" >/dev/null || missing+=("$package")
  done <<'PROGRAMS'
nats-server nats-server
qemu-system-x86_64 qemu-system-x86
qemu-img qemu-utils
ip iproute2
nft nftables
openssl openssl
lxc-start lxc
busybox busybox-static
PROGRAMS
}

# Runs a command as root: directly, or through sudo, which may ask for a password only where somebody can answer.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# The distribution would run the new nats-server at once, open to everyone; we start our own. Its unit is kept from
# starting while it is installed, and is left disabled.
nats_unit=/etc/systemd/system/nats-server.service
with_nats_service_off() {
  if [[ " ${missing[*]} " != *' nats-server '* ]] || [ ! -d /run/systemd/system ] || [ -e "$nats_unit" ]; then
    "$@"
    return
  fi
  local result=0
  as_root ln -s /dev/null "$nats_unit"
  "$@" || result=$?
  as_root rm -f "$nats_unit"
  as_root systemctl --quiet disable nats-server 2>/dev/null || true
  return $result
}

install_packages() {
  local log=$1 env=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  as_root "${env[@]}" update >"$log" 2>&1 || say 'apt-get update had trouble; going on with the lists there are' >&2
  with_nats_service_off as_root "${env[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null
}

install_missing() {
  find_missing
  [ ${#missing[@]} -gt 0 ] || return 0
  local by_hand="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (names of Debian's packages); install them with your system's package manager"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "missing: ${missing[*]}; as root run: $by_hand"
  fi
  say "installing ${missing[*]}"
  if ! install_packages .cache/bootstrap-apt.log; then
    grep -m3 '^E: ' .cache/bootstrap-apt.log >&2 || tail -n 3 .cache/bootstrap-apt.log >&2
    die "could not install ${missing[*]}; as root run: $by_hand"
  fi
  hash -r
  find_missing
  [ ${#missing[@]} = 0 ] || die "still missing after the installation: ${missing[*]}; as root run: $by_hand"
}

# What single tests use beside, skipped by name without it: an engine, which the suite of containers starts itself where
# none answers (Debian's package starts one where systemd runs), a stock libvirtd, whose package starts none, parted, and
# what boots a systemd in namespaces.
install_for_tests() {
  [[ $purpose == @(test|containers) ]] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  local log=.cache/bootstrap-tests.log
  missing=()
  docker version >/dev/null 2>&1 || command -v dockerd >/dev/null || missing+=(docker.io)
  docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || missing+=(docker-compose)
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  if [ "$purpose" = test ]; then
    command -v libvirtd >/dev/null || missing+=(libvirt-daemon)
    /usr/bin/python3 -c 'import libvirt' 2>/dev/null || missing+=(python3-libvirt)
    command -v parted >/dev/null || missing+=(parted)
    command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
  fi
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}, for tests"
  install_packages "$log" || say "could not; what needs them is skipped ($log)" >&2
}

# QEMU drops to this user when the host service runs as root. It owns nothing and cannot log in.
add_qemu_user() {
  [ "$(id -u)" = 0 ] && ! id virtbus-qemu >/dev/null 2>&1 || return 0
  say 'adding the system user virtbus-qemu, which guests run as'
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin virtbus-qemu ||
    die 'could not add the user; as root run: useradd --system --user-group --no-create-home virtbus-qemu'
}

# Containers run as nobody of the host: root gets a range of ids for them behind all ranges that others have.
add_sub_ids() {
  [ "$(id -u)" = 0 ] && command -v usermod >/dev/null || return 0
  grep -qs '^root:' /etc/subuid && grep -qs '^root:' /etc/subgid && return
  local first
  first=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: 'BEGIN { top = 1000000 } $2 + $3 > top { top = $2 + $3 } END { printf "%d", top }')
  say "giving root the ids $first to $((first + 65535)) for containers (/etc/subuid, /etc/subgid)"
  usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" root ||
    say 'could not; containers will run as root of this machine' >&2
}

# Tests of containers map ids of their own. Where newuidmap is installed, liblxc takes only what root was given.
add_sub_ids_for_tests() {
  [ "$purpose" = test ] && [ "$(id -u)" = 0 ] && command -v newuidmap >/dev/null && command -v usermod >/dev/null || return 0
  local first
  for first in 100000 300000; do
    grep -qs "^root:$first:65536\$" /etc/subuid && grep -qs "^root:$first:65536\$" /etc/subgid && continue
    say "giving root the ids $first to $((first + 65535)) for tests (/etc/subuid, /etc/subgid)"
    usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" root ||
      say 'could not; tests of unprivileged containers will fail' >&2
  done
}

# npm ci refuses a lock file without the packages that only other platforms need, and npm leaves them out when it wrote
# the file where they were not to be had. True when its complaint (file $1) names nothing but those: packages that the
# lock file itself demands as parts of another one.
lacks_other_platforms_only() {
  grep -q 'npm error code EUSAGE' "$1" && ! grep -q 'npm error Invalid:' "$1" || return 1
  local name version
  while IFS=' ' read -r name version; do
    grep -qF "\"$name\": \"$version" package-lock.json || return 1
  done < <(sed -n 's/^npm error Missing: \(.*\)@\([^@]*\) from lock file$/\1 \2/p' "$1")
}

install_dependencies() {
  local installed=node_modules/.package-lock.json # written by npm when it is done
  local log=.cache/bootstrap-npm.log options=(--no-audit --no-fund --loglevel=error)
  [ -e "$installed" ] && ! [ package-lock.json -nt "$installed" ] && return
  say 'installing dependencies (npm ci)'
  npm ci "${options[@]}" >"$log" 2>&1 </dev/null || {
    lacks_other_platforms_only "$log" && npm install --no-save "${options[@]}" >"$log" 2>&1 </dev/null
  } || {
    grep '^npm error' "$log" | head -n 8 >&2
    die 'could not install the dependencies; run: npm ci'
  }
  touch "$installed"
}

build() {
  [ -d tools/dist ] || say 'building'
  node node_modules/typescript/bin/tsc -b || die 'the build failed; run: npx tsc -b'
}

check_node
mkdir -p .cache
exec 9>.cache/bootstrap.lock
flock -n 9 || {
  say 'another one is at work in this folder; waiting for it'
  flock 9
}
install_missing
install_for_tests
add_qemu_user
add_sub_ids
add_sub_ids_for_tests
install_dependencies
build
