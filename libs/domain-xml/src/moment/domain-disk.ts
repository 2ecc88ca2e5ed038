/** Which disk of a domain a request speaks of. */
import { isEmptyDrive } from '../disk-chain';
import type { Domain } from '../elements/domain';
import type { Disk } from '../elements/disk';
import { fail, lineOf } from '../schema';

interface Named {
  /** Target of the disk, or the path of its image. */
  name: string;
}

/** Whether the guest can change what is on it. */
export const isWritten = (disk: Disk): boolean =>
  !isEmptyDrive(disk) && disk.readonly !== true && disk.device !== 'cdrom';

/** Where the bytes of a local disk lie. */
export const localPath = ({ source }: Disk): string | undefined => source?.file ?? source?.dev;

/**
 * The disks of the domain in their order, each with what the request says of it; what the request names by its image gets its
 * target's name. Throws CONFIG_UNSUPPORTED for a disk that is not there or named twice.
 */
export function matchDisks<D extends Named>(
  domain: Domain,
  asked: readonly D[],
): { disk: Disk; asked: D | undefined }[] {
  const found = new Map<Disk, D>();
  for (const one of asked) {
    const where = { element: 'disk', line: lineOf(one) };
    const disk = diskNamed(domain, one.name);
    if (disk === undefined) fail('CONFIG_UNSUPPORTED', `no disk named '${one.name}'`, where);
    if (found.has(disk)) fail('CONFIG_UNSUPPORTED', `disk '${disk.target.dev}' specified twice`, where);
    found.set(disk, { ...one, name: disk.target.dev ?? one.name });
  }
  return domain.devices.disks.map((disk) => ({ disk, asked: found.get(disk) }));
}

function diskNamed({ devices: { disks } }: Domain, name: string): Disk | undefined {
  const named = disks.find(({ target }) => target.dev === name);
  if (named || !name.startsWith('/')) return named;
  const [disk, ...others] = disks.filter((one) => localPath(one) === name);
  return others.length === 0 ? disk : undefined;
}
