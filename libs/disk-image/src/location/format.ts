/** Places as strings to record in an overlay: a path, a URI, or QEMU's options as `json:`. (facts: images §4, writing) */
import type { Location } from '@virtbus/shared';
import { blockdevOf, pciAddress } from './blockdev';
import type { NetworkLocation } from './network';
import { looksLikePath } from './parse';
import { formatUri } from './uri';

const uriProtocols = new Set(['nbd', 'http', 'https', 'ftp', 'ftps', 'tftp', 'iscsi', 'gluster']);

/**
 * The string that an overlay records for this place; `parseLocation` gives the place back.
 * @throws VirtError CONFIG_UNSUPPORTED for a place that no image can name
 */
export function formatLocation(location: Location): string {
  const slice = 'slice' in location ? location.slice : undefined;
  if (slice === undefined) {
    if (location.type === 'dir') return `fat:${location.path}`;
    if ((location.type === 'file' || location.type === 'block') && looksLikePath(location.path)) return location.path;
    if (location.type === 'network' && isPlain(location)) return formatUri(location, location.hosts[0]!);
  }
  const file = blockdevOf(location);
  return `json:${JSON.stringify({ file: slice ? { driver: 'raw', ...slice, file } : file })}`;
}

/** All that it says, a URI can say. */
function isPlain({ protocol, hosts, ...location }: NetworkLocation): boolean {
  const { sslVerify, cookies, readahead, timeout, reconnectDelay } = location;
  const special = [sslVerify, cookies, readahead, timeout, reconnectDelay].some((one) => one !== undefined);
  return uriProtocols.has(protocol) && hosts.length === 1 && hosts[0]?.transport === 'tcp' && !special;
}

/** A place in few words, for messages. */
export function describeLocation(location: Location): string {
  switch (location.type) {
    case 'file':
    case 'block':
    case 'dir':
    case 'vhostvdpa':
      return location.path;
    case 'vhostuser':
      return location.socket;
    case 'nvme':
      return `namespace ${location.namespace} of NVMe device ${pciAddress(location.address)}`;
    case 'network':
      return location.hosts[0] ? formatUri(location, location.hosts[0]) : `${location.protocol}:${location.name ?? ''}`;
  }
}
