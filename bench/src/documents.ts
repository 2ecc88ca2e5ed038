/** The guests that are measured: the same document for us and for libvirt. */

export interface DocumentOptions {
  memoryMib?: number;
  uuid?: string;
  /** Elements inside `<devices>`. */
  devices?: string;
}

/** q35 without disk: its firmware finds nothing to boot and halts. */
export function document(name: string, { memoryMib = 64, uuid, devices = '' }: DocumentOptions = {}): string {
  return `<domain type='qemu'>
  <name>${name}</name>${uuid ? `\n  <uuid>${uuid}</uuid>` : ''}
  <memory unit='MiB'>${memoryMib}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>${devices}</devices>
</domain>`;
}

/** A disk, a network card and a display. */
export function ordinaryDevices(disk: string): string {
  return `
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>`;
}
