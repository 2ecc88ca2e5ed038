/** Images: `-drive` and `-blockdev`, as the source, driver and backing chain of a disk. */
import type { BackingStore } from '../elements/storage-source';
import type { Attempt, DeviceSketch, Sketch } from './draft';
import { NotUnderstood } from './not-understood';
import type { Values } from './values';
import { optional } from './virtio';

export type DiskSketch = DeviceSketch<'disks'>;
type Source = NonNullable<DiskSketch['source']>;
type Driver = NonNullable<DiskSketch['driver']>;
type Chain = Sketch<BackingStore>;

/** What an image brings to the disk that uses it. */
export interface ImageSketch {
  type: NonNullable<DiskSketch['type']>;
  source?: Source;
  driver: Driver;
  backingStore?: Chain;
  readonly?: boolean;
  transient?: boolean;
  /** How the image is cached, before the device says whether it writes through. */
  cache?: { direct: boolean; noFlush: boolean };
  /** Nobody said what is in it. */
  hasNoFormat?: boolean;
}

const caches = new Set(['none', 'writethrough', 'writeback', 'directsync', 'unsafe']);
const formats = new Set([
  'raw',
  'qcow2',
  'qcow',
  'qed',
  'vmdk',
  'vdi',
  'vpc',
  'vhdx',
  'bochs',
  'cloop',
  'dmg',
  'parallels',
  'luks',
]);
const word = <T extends string>(value: string | undefined, ...words: T[]): T | undefined => {
  if (value === undefined || words.includes(value as T)) return value as T | undefined;
  throw new NotUnderstood(`'${value}' is none of ${words.join(', ')}`);
};

/** The image of a `-drive` whose place has been read; what it leaves is a fault of the caller's to find. */
export function driveImage(values: Values): ImageSketch {
  const file = values.take('file');
  const format = values.take('format') ?? values.take('driver');
  const cache = values.take('cache');
  if (cache !== undefined && !caches.has(cache)) throw new NotUnderstood(`cache=${cache} is no mode`);
  const driver: Driver = {
    name: 'qemu',
    ...optional('type', format as Driver['type']),
    ...optional('cache', cache as Driver['cache']),
    ...optional('io', word(values.take('aio'), 'threads', 'native', 'io_uring')),
    ...optional('discard', discardOf(values.take('discard'))),
    ...optional('detect_zeroes', word(values.take('detect-zeroes'), 'off', 'on', 'unmap')),
    ...optional('copy_on_read', values.takeFlag('copy-on-read')),
    ...errorPolicies(values),
  };
  const readonly = values.takeFlag('readonly', 'read-only');
  const transient = values.takeFlag('snapshot');
  return {
    type: 'file',
    ...(file !== undefined && file !== '' && local(file)),
    driver,
    ...(readonly && { readonly }),
    ...(transient && { transient }),
    ...(file && format === undefined && { hasNoFormat: true }),
  };
}

function discardOf(value: string | undefined): 'unmap' | 'ignore' | undefined {
  return value === 'on' ? 'unmap' : value === 'off' ? 'ignore' : word(value, 'unmap', 'ignore');
}

/** What happens when the host cannot write or read; a drive and its device may both say. */
export function errorPolicies(values: Values): Pick<Driver, 'error_policy' | 'rerror_policy'> {
  const write = values.take('werror');
  const policy = write === 'enospc' ? 'enospace' : word(write, 'stop', 'report', 'ignore');
  const read = word(values.take('rerror'), 'stop', 'report', 'ignore');
  return { ...optional('error_policy', policy), ...(read !== policy && optional('rerror_policy', read)) };
}

/** A path of this host: a file or a device. */
function local(path: string): Pick<ImageSketch, 'type' | 'source'> {
  const nbd = /^nbd:(?:\/\/)?([^:/]+):?(\d+)?(?:[:/](?:exportname=)?(.*))?$/.exec(path);
  if (nbd && nbd[1] !== 'unix') return network('nbd', nbd[3], nbd[1]!, nbd[2]);
  if (/^(?!\/)[a-z][\w+.-]*:/.test(path)) throw new NotUnderstood(`'${path}' is no file of this host`);
  if (!path.startsWith('/'))
    throw new NotUnderstood(`'${path}' is not a whole path; a guest has no folder of its own to begin from`);
  return path.startsWith('/dev/') ? { type: 'block', source: { dev: path } } : { type: 'file', source: { file: path } };
}

function network(
  protocol: 'nbd',
  name: string | undefined,
  host: string,
  port: string | undefined,
): Pick<ImageSketch, 'type' | 'source'> {
  return {
    type: 'network',
    source: {
      protocol,
      ...optional('name', name || undefined),
      hosts: [{ name: host, ...(port && { port: Number(port) }), transport: 'tcp' }],
    },
  };
}

/** The image that a block node stands for, with all below it. */
export function nodeImage(attempt: Attempt, name: string): ImageSketch {
  const node = attempt.backend('-blockdev', name);
  return formatNode(attempt, node, '');
}

/** @param path of this node among the options: `file.` for one written inside another */
function formatNode(attempt: Attempt, node: Values, path: string): ImageSketch {
  const kind = node.take(`${path}driver`) ?? '';
  const driver: Driver = {
    name: 'qemu',
    ...optional('discard', path === '' ? discardOf(node.take('discard')) : discardOf(node.take(`${path}discard`))),
    ...optional('detect_zeroes', word(node.take(`${path}detect-zeroes`), 'off', 'on', 'unmap')),
  };
  const readonly = node.takeFlag(`${path}read-only`);
  node.take(`${path}auto-read-only`);
  const cache = cacheOf(node, path);
  const frame = { driver, ...(readonly && { readonly }), ...optional('cache', cache) };
  if (!formats.has(kind))
    return { ...frame, ...storageNode(node, path, kind, driver), driver: { ...driver, type: 'raw' } };
  driver.type = kind as Driver['type'];
  const below = node.take(`${path}file`);
  const storage = below === undefined ? nested(node, `${path}file.`) : named(attempt, below);
  Object.assign(driver, optional('io', storage.driver.io));
  const backing = node.take(`${path}backing`);
  const chain = backing === undefined ? undefined : backing === 'null' ? {} : chainOf(nodeImage(attempt, backing));
  return { ...frame, type: storage.type, ...optional('source', storage.source), ...optional('backingStore', chain) };
}

function named(attempt: Attempt, name: string): ImageSketch {
  const node = attempt.backend('-blockdev', name);
  return nested(node, '');
}

function nested(node: Values, path: string): ImageSketch {
  const driver: Driver = {};
  const kind = node.take(`${path}driver`) ?? '';
  for (const said of ['auto-read-only', 'discard', 'read-only', 'cache.direct', 'cache.no-flush'])
    node.take(`${path}${said}`);
  return { ...storageNode(node, path, kind, driver), driver };
}

/** The node that holds the bytes. */
function storageNode(node: Values, path: string, kind: string, driver: Driver): Pick<ImageSketch, 'type' | 'source'> {
  Object.assign(driver, optional('io', word(node.take(`${path}aio`), 'threads', 'native', 'io_uring')));
  switch (kind) {
    case 'file':
      return { type: 'file', source: { file: node.take(`${path}filename`) } };
    case 'host_device':
    case 'host_cdrom':
      return { type: 'block', source: { dev: node.take(`${path}filename`) } };
    case 'nbd':
      if (node.take(`${path}server.type`) !== 'inet') throw new NotUnderstood('its server is not reached over TCP');
      return network(
        'nbd',
        node.take(`${path}export`),
        node.take(`${path}server.host`) ?? '',
        node.take(`${path}server.port`),
      );
    default:
      throw new NotUnderstood(`block driver '${kind}' has no place in a document`);
  }
}

function cacheOf(node: Values, path: string): ImageSketch['cache'] | undefined {
  const direct = node.takeFlag(`${path}cache.direct`);
  const noFlush = node.takeFlag(`${path}cache.no-flush`);
  return direct === undefined && noFlush === undefined
    ? undefined
    : { direct: direct ?? false, noFlush: noFlush ?? false };
}

const canStandOnAnother = new Set<string | undefined>(['qcow2', 'qcow', 'qed', 'vmdk']);

function chainOf({ type, source, driver, backingStore }: ImageSketch): Chain {
  const format = driver.type ?? 'raw';
  const end = canStandOnAnother.has(format) ? undefined : {};
  return {
    type,
    format: { type: format },
    ...optional('source', source),
    ...optional('backingStore', backingStore ?? end),
  };
}
