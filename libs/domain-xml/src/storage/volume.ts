/** `<volume>`: the whole document of a storage volume. */
import {
  anyString,
  attr,
  always,
  element,
  flag,
  leaf,
  many,
  one,
  oneOf,
  pattern,
  string,
  uuid,
  type Element,
  type Model,
  type ModelOf,
} from '../schema';
import { cipher } from '../elements/storage-source';
import { permissions } from './permissions';
import { size, sizeShort } from './values';

export const volumeEncryption = element('encryption', {
  format: attr(oneOf('default', 'qcow', 'luks', 'luks2', 'luks-any'), {
    required: true,
    refuse: ['XML_ERROR', (raw) => `unknown volume encryption format ${raw}`],
  }),
  secrets: many(
    element('secret', {
      type: attr(oneOf('passphrase'), {
        required: true,
        refuse: ['XML_ERROR', (raw) => `unknown volume encryption secret type ${raw}`],
      }),
      uuid: attr(uuid),
      usage: attr(string),
    }),
  ),
  ...cipher,
});
export type VolumeEncryption = ModelOf<typeof volumeEncryption>;

const time = () => leaf(string);

const format = element('format', { type: attr(anyString, { required: true }) });

const targetFields = {
  path: leaf(string),
  format: one(format),
  permissions: one(permissions),
  /** Seconds since 1970 with nanoseconds, as `stat` tells them. */
  timestamps: one(element('timestamps', { atime: time(), mtime: time(), ctime: time(), btime: time() }), {
    live: 'input',
  }),
  encryption: one(volumeEncryption),
  compat: leaf(pattern(/^\d+\.\d+$/, "a version such as '1.1'"), {
    refuse: ['XML_ERROR', (raw) => `forbidden characters in 'compat' attribute '${raw}'`],
  }),
  nocow: flag(),
  /** Bytes. */
  clusterSize: leaf(...sizeShort),
  features: one(
    element(
      'features',
      { lazy_refcounts: flag(), extended_l2: flag(), data_file: flag({ live: 'input' }) },
      { keepEmpty: true },
    ),
  ),
};

const target = element('target', targetFields);

const backingStore = element('backingStore', {
  path: leaf(string),
  format: one(format),
  permissions: one(permissions),
  timestamps: targetFields.timestamps,
});

const extents = element('source', {
  devices: many(
    element('device', {
      path: attr(string),
      extents: many(element('extent', { start: attr(size[0]), end: attr(size[0]) })),
    }),
  ),
});

const fields = {
  type: attr(oneOf('file', 'block', 'dir', 'network', 'netdir', 'ploop'), { default: 'file' }),
  name: leaf(string, { required: 'missing volume name element' }),
  key: leaf(string),
  /** Where on the pool's devices the volume lies. */
  source: one(extents, { live: 'input' }),
  /** Bytes. */
  capacity: leaf(...size),
  /** Bytes; all of the capacity when left out. */
  allocation: leaf(...size),
  /** Bytes of the file or device, whatever the image in it says. */
  physical: leaf(size[0], { live: 'input' }),
  target: always(target),
  backingStore: one(backingStore),
};
export type Volume = Model<typeof fields>;

export const volume: Element<Volume> = element('volume', fields, {
  shape: (model: Volume) => ({
    ...model,
    capacity: model.capacity ?? 0,
    allocation: model.allocation ?? model.capacity ?? 0,
  }),
});
