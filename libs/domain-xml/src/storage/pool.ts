/** `<pool>`: the whole document of a storage pool. */
import {
  attr,
  always,
  element,
  leaf,
  many,
  on,
  one,
  oneOf,
  string,
  uuid,
  yesNo,
  type Element,
  type Model,
  type ReadContext,
} from '../schema';
import type { XmlElement } from '../xml/reader';
import { permissions } from './permissions';
import { poolSource, type PoolSource } from './pool-source';
import { poolTypeInfo, poolTypeNames, type PoolType } from './pool-types';
import { size } from './values';

const target = element('target', { path: leaf(string), permissions: one(permissions) });

/** What is known of a pool's space; what a document says of it is nobody's business but ours. */
const space = () => leaf(size[0], { ...size[1], live: 'input', default: 0 });

const option = (name: string) => element(name, { name: attr(string, { required: true }) });

const fields = {
  type: attr(oneOf(...poolTypeNames), {
    required: 'missing pool type attribute',
    refuse: ['XML_ERROR', (raw) => `unknown storage pool type ${raw}`],
  }),
  fsNamespace: attr(string, { name: 'xmlns:fs' }),
  rbdNamespace: attr(string, { name: 'xmlns:rbd' }),
  name: leaf(string),
  uuid: leaf(uuid, { refuse: ['XML_ERROR', (raw) => `malformed uuid element '${raw}'`] }),
  features: one(element('features', { cow: one(element('cow', { state: attr(yesNo, { required: true }) })) })),
  /** Bytes. */
  capacity: space(),
  allocation: space(),
  available: space(),
  source: always(poolSource),
  target: one(target, { when: on('type', ...poolTypeNames.filter((type) => !poolTypeInfo(type).network)) }),
  refresh: one(
    element('refresh', {
      volume: one(element('volume', { allocation: attr(oneOf('default', 'capacity'), { required: true }) })),
    }),
  ),
  mountOptions: one(element('fs:mount_opts', { options: many(option('fs:option')) }), {
    when: on('type', 'fs', 'netfs'),
  }),
  configOptions: one(
    element('rbd:config_opts', {
      options: many(
        element('rbd:option', { name: attr(string, { required: true }), value: attr(string, { required: true }) }),
      ),
    }),
    { when: on('type', 'rbd') },
  ),
};
export type Pool = Model<typeof fields>;

export const storageNamespaces = {
  fs: 'http://libvirt.org/schemas/storagepool/fs/1.0',
  rbd: 'http://libvirt.org/schemas/storagepool/rbd/1.0',
} as const;

export const pool: Element<Pool> = element('pool', fields, {
  refine: refinePool,
  shape: (model: Pool) => ({
    ...model,
    ...(model.mountOptions && { fsNamespace: storageNamespaces.fs }),
    ...(model.configOptions && { rbdNamespace: storageNamespaces.rbd }),
  }),
});

function refinePool(model: Pool, { line }: XmlElement, context: ReadContext): void {
  const refuse = (detail: string, element = 'pool'): void => context.fault('XML_ERROR', detail, { element, line });
  delete model.fsNamespace;
  delete model.rbdNamespace;
  const { source, type } = model;
  model.name ??= source.name;
  if (model.name === undefined) return refuse('missing pool source name element', 'name');
  if (model.name.includes('/')) refuse(`name ${model.name} cannot contain '/'`, 'name');
  refineSource(model.name, type, source, refuse);
  refineTarget(model, refuse);
}

function refineSource(
  name: string,
  type: PoolType,
  source: PoolSource,
  refuse: (detail: string, element: string) => void,
): void {
  const { source: parts, formats } = poolTypeInfo(type);
  const [fallback] = formats;
  if (fallback === undefined) delete source.format;
  else if (source.format === undefined) source.format = { type: fallback };
  else if (!formats.includes(source.format.type))
    refuse(
      `unknown pool format type ${source.format.type}; a pool of type ${type} may be ${formats.join(', ')}`,
      'format',
    );
  if (parts.includes('hosts') && source.hosts.length === 0) refuse('missing storage pool source host name', 'source');
  if (type === 'netfs' && source.dir === undefined) refuse('missing storage pool source path', 'source');
  if (parts.includes('name')) source.name ??= name;
  if (parts.includes('adapter') && source.adapter === undefined)
    refuse('missing storage pool source adapter', 'source');
  if (['fs', 'disk', 'iscsi', 'iscsi-direct'].includes(type) && source.devices.length === 0)
    refuse('missing storage pool source device name', 'source');
}

function refineTarget(model: Pool, refuse: (detail: string, element: string) => void): void {
  const { type, source } = model;
  if (poolTypeInfo(type).network) return;
  const fixed = type === 'logical' ? `/dev/${source.name}` : type === 'zfs' ? `/dev/zvol/${source.name}` : undefined;
  const path = fixed ?? model.target?.path;
  if (path === undefined) return refuse('missing storage pool target path', 'target');
  if (!path.startsWith('/')) return refuse(`pool target path '${path}' is not absolute`, 'target');
  model.target = { ...model.target, path: cleanPath(path) };
}

/** Without repeated and trailing slashes; `.` and `..` are the file system's to resolve. */
export const cleanPath = (path: string): string => path.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
