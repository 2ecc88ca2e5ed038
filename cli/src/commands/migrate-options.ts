/** How a guest is moved, in virsh's words, and the request that they make. */
import type { checkMigration, drainHost, migrateDomain, RequestInput } from '@virtbus/shared';
import { readText } from '../definition';
import { parseBytes } from '../sizes';
import { choice, flag, number, repeated, UsageError, value, type OptionValues } from '../spec';

type Wish = Omit<RequestInput<typeof checkMigration>, 'to'>;
type Way = Omit<RequestInput<typeof drainHost>, 'to' | 'limits'>;

/** QEMU's own number of channels. */
const defaultConnections = 2;

/** MiB/s as in virsh; with a unit, bytes a second. */
export function bytesASecond(text: string, name: string): number {
  return parseBytes(/^\d+$/.test(text) ? `${text}MiB` : text, name);
}

/** How guests that run are moved, wherever to. */
export const wayOptions = {
  unsafe: flag('go on where data may be lost'),
  copyStorageAll: flag('copy whole disks'),
  copyStorageInc: flag('copy the active layers of disks; the target has the rest'),
  copyStorageSynchronousWrites: flag('a copied disk is written on both hosts at a time'),
  postcopy: flag('allow a switch to post-copy'),
  autoConverge: flag('slow the guest down until its memory can be sent'),
  autoConvergeInitial: number('PERCENT', 'by how much at first', 1),
  autoConvergeIncrement: number('PERCENT', 'and by how much more each time', 1),
  parallel: flag('several connections for memory: two when --parallel-connections does not say'),
  parallelConnections: number('N', 'connections for memory', 1),
  compMethods: choice(['xbzrle', 'zlib', 'zstd'], 'compress memory; zlib and zstd need --parallel-connections'),
  bandwidth: value('MIBPS', 'limit for memory, MiB/s; with a unit, bytes/s'),
  downtime: number('MS', 'how long the guest may stand still', 1),
  tls: flag('encrypt what is sent'),
  tlsDestination: value('NAME', 'that the target must prove'),
  tlsDirectory: value('FOLDER', 'of certificates on both hosts (/etc/pki/qemu)'),
} as const;

export const migrateOptions = {
  to: value('HOST', 'the host that it moves to', 'host'),
  driver: value('DRIVER', 'driver there, when it is to be another'),
  live: flag('the guest runs on while its memory is sent'),
  offline: flag('move the definition of a domain that does not run'),
  suspend: flag('leave the guest paused on the target'),
  persistent: flag('as always here: a persistent domain is one on the target too'),
  undefinesource: flag('as always here: nothing of the domain stays on the source'),
  abortOnError: flag('give up when the guest stops on an I/O error'),
  ...wayOptions,
  migrateDisks: repeated('DISK', 'copy these disks only'),
  disksPort: number('PORT', 'port for copied disks', 1),
  postcopyBandwidth: value('MIBPS', 'limit of post-copy'),
  dname: value('NAME', 'name of the domain on the target'),
  xml: value('FILE', 'document for the target', 'file'),
  persistentXml: value('FILE', 'definition for the target', 'file'),
  migrateuri: value('URI', 'where memory is sent: tcp:HOST[:PORT]'),
  listenAddress: value('ADDRESS', 'that the target listens on'),
  graphicsuri: value('URI', 'where SPICE clients are sent'),
  postcopyAfterPrecopy: flag('with --postcopy: switch to it once all memory was sent for the first time'),
  patience: number('SECONDS', "virsh's --timeout: when it takes longer, one of these is done", 1),
  timeoutSuspend: flag('pause the guest, so that its memory can be sent; when none is named'),
  timeoutPostcopy: flag('switch to post-copy'),
  timeoutAbort: flag('give the migration up'),
} as const;

type Timeout = NonNullable<RequestInput<typeof migrateDomain>['timeout']>;

/** What is done when it takes too long. */
export function timeoutOf(given: OptionValues<typeof migrateOptions>): Timeout | undefined {
  const { patience, timeoutSuspend, timeoutPostcopy, timeoutAbort } = given;
  const actions = [
    ...(timeoutSuspend ? (['suspend'] as const) : []),
    ...(timeoutPostcopy ? (['postcopy'] as const) : []),
    ...(timeoutAbort ? (['abort'] as const) : []),
  ];
  if (actions.length > 1) throw new UsageError('only one of --timeout-suspend, --timeout-postcopy and --timeout-abort');
  if (patience === undefined) {
    if (actions.length > 0) throw new UsageError(`--timeout-${actions[0]!} needs --patience: after how long?`);
    return undefined;
  }
  return { afterMs: patience * 1_000, action: actions[0] ?? 'suspend' };
}

const rate = (text: string | undefined, option: string): number | undefined =>
  text === undefined ? undefined : bytesASecond(text, option);

export function wayOf(given: OptionValues<typeof wayOptions>): Way {
  if (given.copyStorageAll && given.copyStorageInc) {
    throw new UsageError('--copy-storage-all does not go with --copy-storage-inc');
  }
  const {
    unsafe,
    postcopy,
    downtime: downtimeMs,
    compMethods: method,
    tlsDestination: peer,
    tlsDirectory: directory,
  } = given;
  const { autoConvergeInitial: initial, autoConvergeIncrement: increment } = given;
  const converges = given.autoConverge || initial !== undefined || increment !== undefined;
  return {
    ...{ unsafe, postcopy, downtimeMs },
    storage: given.copyStorageAll ? 'full' : given.copyStorageInc ? 'top' : 'shared',
    synchronousWrites: given.copyStorageSynchronousWrites,
    autoConverge: converges ? { initial, increment } : undefined,
    parallel: given.parallelConnections ?? (given.parallel ? defaultConnections : undefined),
    compression: method && { method },
    bandwidth: rate(given.bandwidth, '--bandwidth'),
    tls: given.tls || peer !== undefined || directory !== undefined ? { peer, directory } : undefined,
  };
}

export async function wishOf(given: OptionValues<typeof migrateOptions>): Promise<Wish> {
  const { live, offline, abortOnError, dname: name, disksPort, driver, migrateDisks: disks } = given;
  const file = async (path: string | undefined): Promise<string | undefined> =>
    path === undefined ? undefined : readText(path);
  return {
    ...wayOf(given),
    ...{ driver, live, offline, abortOnError, name, disksPort },
    paused: given.suspend,
    disks: disks.length > 0 ? disks : undefined,
    postcopyBandwidth: rate(given.postcopyBandwidth, '--postcopy-bandwidth'),
    xml: await file(given.xml),
    persistentXml: await file(given.persistentXml),
    uri: given.migrateuri,
    listen: given.listenAddress,
    graphicsUri: given.graphicsuri,
  };
}
