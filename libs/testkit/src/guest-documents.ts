/** Documents of small guests and containers that boot what lies in a test's folder. */
import { copyFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { TemporaryFolder } from './temporary-folder';
import { tinyGuest } from './tiny-guest';
import { tinyRootfs } from './tiny-rootfs';

export interface GuestSpec {
  name: string;
  /** Its home; chosen when left out. */
  host?: string;
  memoryMib?: number;
  /** Boot the tiny Linux guest, with these words added to its command line; without it firmware finds nothing to boot. */
  linux?: boolean;
  append?: string;
  /** Further device elements. */
  devices?: string;
  /** Elements of the domain itself: `<on_poweroff>…`. */
  more?: string;
}

export interface ContainerSpec {
  name: string;
  /** Arguments of the tiny root file system's init; see tools/lxc-rootfs/README.md. */
  args?: readonly string[];
  /** Another init than the tiny one's. */
  init?: string;
  /** Elements of `<devices>` beside root file system and console. */
  devices?: string;
  /** Elements of the domain itself. */
  more?: string;
  /** A root file system of its own; all others of a stack share one. */
  root?: string;
}

export class GuestDocuments {
  private rootfs: Promise<string> | undefined;

  constructor(private readonly folder: TemporaryFolder) {}

  /** The document of a small guest. */
  async domain(spec: GuestSpec): Promise<string> {
    const boot = spec.linux ? await this.linuxBoot(spec.append ?? '') : '';
    return `<domain type='qemu'>
  <name>${spec.name}</name>
  <memory unit='MiB'>${spec.memoryMib ?? (spec.linux ? 128 : 32)}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>${boot}</os>
  <features><acpi/></features>
  ${spec.more ?? ''}
  <devices>
    <serial type='pty'/>
    ${spec.devices ?? ''}
  </devices>
</domain>`;
  }

  /** The document of a container on the tiny root file system. */
  async container(spec: ContainerSpec): Promise<string> {
    const root = spec.root ?? (await (this.rootfs ??= tinyRootfs(this.folder.file('rootfs'))));
    const args = (spec.args ?? []).map((word) => `<initarg>${word}</initarg>`).join('');
    return `<domain type='lxc'>
  <name>${spec.name}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type>exe</type><init>${spec.init ?? '/sbin/init'}</init>${args}</os>
  <features><privnet/></features>
  ${spec.more ?? ''}
  <devices>
    <filesystem type='mount'><source dir='${root}'/><target dir='/'/></filesystem>
    <console type='pty'/>
    ${spec.devices ?? ''}
  </devices>
</domain>`;
  }

  private async linuxBoot(append: string): Promise<string> {
    const guest = await tinyGuest();
    const [kernel, initrd] = [guest.kernel, guest.initrd].map((path) => {
      // Where the user that guests run as can read it, wherever the checkout lies.
      const copy = this.folder.file(basename(path));
      copyFileSync(path, copy);
      return copy;
    });
    return `<kernel>${kernel}</kernel><initrd>${initrd}</initrd><cmdline>${guest.append} ${append}</cmdline>`;
  }
}
