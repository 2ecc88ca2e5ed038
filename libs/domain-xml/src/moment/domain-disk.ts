/** Which disk of a domain a request speaks of. */
import type { Domain } from '../elements/domain';
import type { Disk } from '../elements/disk';
import { fail, lineOf } from '../schema';

/** Whether a disk of the request was named, and by what: `vda`, or the path of its image. */
interface Named {
  name: string;
}

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
