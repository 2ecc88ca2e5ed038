/** Block nodes as QEMU has them now. */
import type { Disk } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

/** The node that each disk's device uses: filters on top are part of it. */
export async function topNodes(guest: QemuGuest, signal: AbortSignal): Promise<(disk: Disk) => string> {
  const drives = (await guest.askRaw('query-block', undefined, signal)) as {
    qdev?: string;
    inserted?: { 'node-name'?: string };
  }[];
  return (disk) => {
    const alias = disk.alias?.name ?? '';
    const drive = drives.find(({ qdev }) => qdev === alias || qdev?.split('/').includes(alias));
    const node = drive?.inserted?.['node-name'];
    if (node !== undefined) return node;
    throw new VirtError('INTERNAL_ERROR', { detail: `QEMU has no node for disk ${disk.target.dev ?? alias}` });
  };
}
