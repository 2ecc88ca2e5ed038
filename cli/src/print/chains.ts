/** Chains in words: a table a disk, from the active layer down; differences, faults and users of images. */
import type {
  auditChains,
  ChainDocument,
  ChainLayer,
  ImageUser,
  Response,
  showChain,
  verifyChain,
} from '@virtbus/shared';
import type { Paint } from '../output';
import { safe, table } from './table';

type Shown = Response<typeof showChain>['chains'][number];

export function printChains(chains: readonly Shown[], paint: Paint): string {
  return chains
    .map(({ target, running, chain, fault }) => {
      const head =
        target === undefined ? '' : `${paint('bold', safe(target))} (${running ? 'running' : 'at next start'})\n`;
      if (fault !== undefined) return `${head}${paint('red', `would not start: ${safe(fault)}`)}\n`;
      return `${head}${chain ? printChain(chain, paint) : 'no medium\n'}`;
    })
    .join('\n');
}

function printChain({ layers }: ChainDocument, paint: Paint): string {
  const rows = layers.map((layer) => [String(layer.index), layer.format, layer.formatKnown, safe(placeOf(layer))]);
  return `${table(['Layer', 'Format', 'Known', 'Image'], rows, paint)}${layers.map(printBitmaps).join('')}`;
}

function printBitmaps({ index, bitmaps = [] }: ChainLayer): string {
  return bitmaps
    .map(({ name, granularity, recording, inUse }) => {
      const words = [
        `${granularity} bytes a bit`,
        recording ? 'recording' : 'not recording',
        ...(inUse ? ['in use'] : []),
      ];
      return `bitmap ${safe(name)} in layer ${index}: ${words.join(', ')}\n`;
    })
    .join('');
}

function placeOf({ location, dataFile }: ChainLayer): string {
  const data = dataFile && 'path' in dataFile.location ? ` (data in ${dataFile.location.path})` : '';
  if (location.type === 'network') {
    const [host] = location.hosts;
    const at = host === undefined ? '' : host.transport === 'unix' ? host.socket : `${host.name}:${host.port ?? ''}`;
    return `${location.protocol}://${at}/${location.name ?? ''}${data}`;
  }
  if (location.type === 'vhostuser') return location.socket;
  if (location.type === 'nvme') return `nvme namespace ${location.namespace}`;
  return `${location.path}${data}`;
}

export function printVerified(disks: Response<typeof verifyChain>['disks'], paint: Paint): string {
  return disks
    .map(({ target, layers, differences }) => {
      const name = paint('bold', safe(target));
      if (differences.length === 0) return `${name}: ${layers} layer${layers === 1 ? '' : 's'}, all as known\n`;
      const lines = differences.map(({ layer, path, what }) => `  layer ${layer} ${safe(path)}: ${safe(what)}\n`);
      return `${name}: ${paint('red', 'differs')}\n${lines.join('')}`;
    })
    .join('');
}

export interface Audited extends Response<typeof auditChains> {
  host: string;
  /** It could not be asked. */
  reason?: string;
}

export function printAudit(hosts: readonly Audited[], paint: Paint): string {
  return hosts
    .map(({ host, checked, faults, reason }) => {
      const name = paint('bold', safe(host));
      if (reason !== undefined) return `${name}: ${paint('red', safe(reason))}\n`;
      if (faults.length === 0) return `${name}: ${checked} checked, every one would start\n`;
      const lines = faults.map(
        (fault) =>
          `  ${safe(fault.what)}: ${safe(fault.reason)}\n${fault.repair ? `    repair: ${safe(fault.repair)}\n` : ''}`,
      );
      return `${name}: ${checked} checked, ${faults.length} would not start\n${lines.join('')}`;
    })
    .join('');
}

export function printUsers(users: readonly ImageUser[], paint: Paint): string {
  if (users.length === 0) return 'nobody stands on it\n';
  const rows = users.map(({ kind, name, host, target, layer, running }) => [
    kind,
    safe(name),
    host,
    target ?? '',
    layer === 0 ? 'active layer' : `layer ${layer}`,
    running ? 'running' : '',
  ]);
  return table(['Kind', 'Name', 'Host', 'Disk', 'As', 'State'], rows, paint);
}
