#!/usr/bin/env bash
# Prints the document of a domain `tiny` that boots the tiny Linux guest; builds the guest the first time.
#
#   tools/tiny-guest/example.sh [NAME] > tiny.xml
#
# Kernel and initial file system go where the user that guests run as can read them, wherever this checkout lies.
set -euo pipefail
name=${1:-tiny}
case $name in *[!A-Za-z0-9._-]*) echo "usage: $0 [NAME], NAME of letters, digits, . _ -" >&2 && exit 2 ;; esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$(id -u)" = 0 ]; then state=/var/lib/virtbus; else state=${XDG_STATE_HOME:-$HOME/.local/state}/virtbus; fi
images=${VIRTBUS_STATE_DIR:-$state}/images
built=$("$here/build.sh")
mkdir -p "$images"
chmod 711 "$(dirname "$images")" "$images"
cp "$built/vmlinuz" "$built/initramfs.gz" "$images/"
chmod 644 "$images/vmlinuz" "$images/initramfs.gz"
cat <<XML
<domain type='qemu'>
  <name>$name</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$images/vmlinuz</kernel>
    <initrd>$images/initramfs.gz</initrd>
    <cmdline>console=ttyS0 cryptomgr.notests no_timer_check random.trust_cpu=on</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <interface type='user'><model type='virtio'/></interface>
    <serial type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
XML
