/**
 * Device nodes that belong to a container whose ids are mapped: in there the host's own belong to nobody, so that its root could
 * not open them. Which devices they open is for the devices controller to say (facts: libvirt makes and gives nodes likewise).
 */
import { chownSync, existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { deviceAt } from './configuration';
import { mountBelow, mountsBelow, rootOf } from './host-mounts';
import type { Place } from './place';
import { output } from './programs';

/** For each device of the host that the document names the node that the container gets, by the host's path. */
export async function makeOwnNodes(live: Domain, place: Place): Promise<Map<string, string>> {
  const { disks, hostdevs } = live.devices;
  const paths = [
    ...disks.map(({ source }) => source?.dev),
    ...hostdevs.map(({ source }) => source?.block ?? source?.char),
  ];
  const nodes = new Map<string, string>();
  for (const path of paths) if (path !== undefined) nodes.set(path, await ownNode(live, place, path));
  return nodes;
}

/** The node of a container for a device of the host: made when it is not there; the host's own where ids are the host's. */
export async function ownNode({ idmap }: Pick<Domain, 'idmap'>, place: Place, path: string): Promise<string> {
  const device = idmap && deviceAt(path);
  if (!device) return path;
  const folder = join(place.mounts, 'devices');
  const end = `/${basename(place.mounts)}/${basename(folder)}`;
  if (!mountsBelow(place.mounts).some((point) => point.endsWith(end))) {
    // Where the host keeps its state nodes may not count (nodev).
    const words = ['-t', 'tmpfs', '-o', 'mode=711,nosuid,noexec,size=64k'];
    await mountBelow({ path: place.mounts, idmap }, 'devices', words, 'virtbus');
  }
  const { kind, major, minor } = device;
  const node = join(folder, `${kind}-${major}-${minor}`);
  if (!existsSync(node)) {
    const mode = (statSync(path).mode & 0o777).toString(8);
    await output('mknod', [`--mode=${mode}`, node, kind === 'block' ? 'b' : 'c', String(major), String(minor)]);
  }
  // Also of one that was made when we died.
  chownSync(node, rootOf(idmap.uids), rootOf(idmap.gids));
  return node;
}
