/** Images for disks that move with their guest: empty ones of the same size where the target is to find them, and documents that name them. */
import { chmodSync } from 'node:fs';
import { basename } from 'node:path';
import { formatDomain, parseDomain, type Domain } from '@virtbus/domain-xml';
import { getDomainXml } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { diskBytes } from '../block-stand/content';
import { chainsOf } from '../block-stand/sound';
import { qemuImg } from '../integration/storage-stand';
import type { MovingGuest, Wish } from './moving-guest';

/** @param layers `full`: an image that stands alone; `top`: one on the images that the active one stands on */
export async function copied(
  guest: MovingGuest,
  targets: readonly string[],
  layers: 'full' | 'top',
): Promise<Pick<Wish, 'xml' | 'persistentXml'>> {
  const chains = await chainsOf(guest.disks);
  const paths = new Map<string, string>();
  for (const target of targets) {
    const [, below] = chains.get(target)?.layers ?? [];
    const path = guest.disks.file(`${target}.${layers}.${guest.nextNumber()}`);
    const base =
      layers === 'top' && below && 'path' in below.location ? ['-b', below.location.path, '-F', below.format] : [];
    qemuImg('create', '-q', '-f', 'qcow2', ...base, path, String(diskBytes));
    chmodSync(path, 0o644);
    paths.set(target, path);
  }
  const document = async (inactive: boolean): Promise<string> => {
    const ask = { inactive, secure: true, migratable: true };
    const { xml } = await call(guest.stand.bus, getDomainXml, ask, { target: guest.uuid });
    const { domain } = parseDomain(xml!, { mode: inactive ? 'inactive' : 'live' });
    rename(domain, paths, layers);
    return formatDomain(domain, { view: inactive ? 'inactive' : 'live', secrets: true, migratable: true });
  };
  return { xml: await document(false), persistentXml: await document(true) };
}

function rename(domain: Domain, paths: ReadonlyMap<string, string>, layers: 'full' | 'top'): void {
  for (const disk of domain.devices.disks) {
    const path = paths.get(disk.target.dev ?? '');
    if (path === undefined) continue;
    disk.source = { ...disk.source!, file: path };
    if (layers === 'full') delete disk.backingStore;
  }
}

/** Names of the images that disks stand on, by disk, the active one first. */
export async function imagesOf(guest: MovingGuest): Promise<Record<string, string[]>> {
  const chains = await chainsOf(guest.disks);
  const names = [...chains].map(([target, { layers }]) => {
    return [
      target,
      layers.map(({ location }) => ('path' in location ? basename(location.path) : location.type)),
    ] as const;
  });
  return Object.fromEntries(names);
}
