/** `<disk>`: hard disks, CD-ROMs, floppies and LUNs. */
import {
  element,
  attr,
  leaf,
  flag,
  one,
  many,
  oneOf,
  string,
  yesNo,
  onOff,
  trueFalse,
  uint,
  ulong,
  pattern,
  type Model,
} from '../schema';
import { bootableInfo, iothreadMapping, virtioOptions } from './device-info';
import {
  auth,
  backingStore,
  encryption,
  format,
  imageFormat,
  metadataCache,
  storageSource,
  type StorageSource,
  storageType,
} from './storage-source';
import { diskPrivateData } from './private-data';
import { emptyModel } from '../schema/parse';

const driver = element('driver', {
  name: attr(string),
  type: attr(imageFormat, { refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown driver format value '${raw}'`] }),
  cache: attr(oneOf('default', 'none', 'writethrough', 'writeback', 'directsync', 'unsafe'), { omit: 'default' }),
  error_policy: attr(oneOf('stop', 'report', 'ignore', 'enospace')),
  rerror_policy: attr(oneOf('stop', 'report', 'ignore')),
  io: attr(oneOf('threads', 'native', 'io_uring')),
  ioeventfd: attr(onOff),
  event_idx: attr(onOff),
  copy_on_read: attr(onOff),
  discard: attr(oneOf('unmap', 'ignore')),
  iothread: attr(uint),
  detect_zeroes: attr(oneOf('off', 'on', 'unmap')),
  queues: attr(uint),
  queue_size: attr(uint),
  discard_no_unref: attr(onOff),
  ...virtioOptions,
  iothreads: one(iothreadMapping),
  metadata_cache: one(metadataCache),
});

const targetFields = {
  dev: attr(string),
  bus: attr(oneOf('ide', 'fdc', 'scsi', 'virtio', 'xen', 'usb', 'uml', 'sata', 'sd', 'none'), {
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown disk bus type '${raw}'`],
  }),
  tray: attr(oneOf('closed', 'open'), { omit: 'closed' }),
  removable: attr(onOff),
  rotation_rate: attr(uint),
};
const target = element('target', targetFields, {
  // Other media that can be taken out are told by their device.
  shape: (model: Model<typeof targetFields>) => (model.bus === 'usb' ? model : { ...model, removable: undefined }),
});

const limit = () => leaf(ulong, { omit: 0 });

/** Limits on what may be moved per second; 0 is none. */
const rates = {
  total_bytes_sec: limit(),
  read_bytes_sec: limit(),
  write_bytes_sec: limit(),
  total_iops_sec: limit(),
  read_iops_sec: limit(),
  write_iops_sec: limit(),
  total_bytes_sec_max: limit(),
  read_bytes_sec_max: limit(),
  write_bytes_sec_max: limit(),
  total_iops_sec_max: limit(),
  read_iops_sec_max: limit(),
  write_iops_sec_max: limit(),
  size_iops_sec: limit(),
};

/** For how many seconds a maximum may be used. */
const burstLengths = {
  total_bytes_sec_max_length: limit(),
  read_bytes_sec_max_length: limit(),
  write_bytes_sec_max_length: limit(),
  total_iops_sec_max_length: limit(),
  read_iops_sec_max_length: limit(),
  write_iops_sec_max_length: limit(),
};

const group_name = leaf(string);
/** The limits of a disk, which it may share with the others of its group. */
const iotune = element('iotune', { ...rates, group_name, ...burstLengths });
/** The limits of a group, which disks name. */
export const throttlegroup = element('throttlegroup', { ...rates, ...burstLengths, group_name });

const mirrorFields = {
  type: attr(storageType),
  file: attr(string),
  format: attr(imageFormat),
  job: attr(oneOf('copy', 'active-commit')),
  ready: attr(oneOf('yes', 'abort', 'pivot')),
  formatElement: one(format),
  source: one(storageSource),
  backingStore: one(backingStore),
};
type Mirror = Model<typeof mirrorFields>;

const mirror = element('mirror', mirrorFields, {
  refine: (model: Mirror) => {
    // The old form says everything in attributes.
    if (model.type === undefined && model.file !== undefined) {
      model.type = 'file';
      model.source = { ...(emptyModel(storageSource) as StorageSource), file: model.file };
    }
    model.job ??= 'copy';
    model.formatElement ??= { type: model.format ?? 'raw' };
    if (model.type === 'file' && model.job === 'copy') {
      model.file ??= model.source?.file;
      model.format ??= model.formatElement.type;
    }
  },
});

const printable = (max: number) => pattern(new RegExp(`^[ -~]{0,${max}}$`), 'printable ASCII characters');

const fields = {
  type: attr(storageType, { default: 'file', refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown disk type '${raw}'`] }),
  device: attr(oneOf('disk', 'cdrom', 'floppy', 'lun'), {
    default: 'disk',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown disk device '${raw}'`],
  }),
  model: attr(oneOf('virtio', 'virtio-transitional', 'virtio-non-transitional')),
  rawio: attr(yesNo),
  sgio: attr(oneOf('filtered', 'unfiltered')),
  snapshot: attr(oneOf('no', 'internal', 'external', 'manual')),
  driver: one(driver),
  auth: one(auth),
  source: one(storageSource),
  backingStore: one(backingStore),
  backenddomain: one(element('backenddomain', { name: attr(string) })),
  geometry: one(
    element('geometry', {
      cyls: attr(uint),
      heads: attr(uint),
      secs: attr(uint),
      trans: attr(oneOf('none', 'auto', 'lba')),
    }),
  ),
  blockio: one(
    element('blockio', {
      logical_block_size: attr(uint, { omit: 0 }),
      physical_block_size: attr(uint, { omit: 0 }),
      discard_granularity: attr(uint),
    }),
  ),
  mirror: one(mirror, { live: true }),
  target: one(target, { required: true }),
  iotune: one(iotune),
  throttlefilters: one(
    element('throttlefilters', {
      filters: many(element('throttlefilter', { group: attr(string, { required: true }) })),
    }),
  ),
  readonly: flag(),
  shareable: flag(),
  transient: one(element('transient', { shareBacking: attr(yesNo) }, { keepEmpty: true })),
  serial: leaf(string),
  wwn: leaf(pattern(/^(0x)?[\da-f]{16}$/i, '16 hexadecimal digits'), {
    refuse: ['XML_ERROR', (raw) => `malformed wwn: ${raw}`],
  }),
  vendor: leaf(printable(8), {
    refuse: [
      'CONFIG_UNSUPPORTED',
      (raw) => (/^[ -~]*$/.test(raw) ? 'disk vendor is more than 8 characters' : 'disk vendor is not printable string'),
    ],
  }),
  product: leaf(printable(16), {
    refuse: [
      'CONFIG_UNSUPPORTED',
      (raw) =>
        /^[ -~]*$/.test(raw) ? 'disk product is more than 16 characters' : 'disk product is not printable string',
    ],
  }),
  encryption: one(encryption),
  ...bootableInfo,
  privateData: one(diskPrivateData, { status: true }),
  diskSecretsPlacement: one(element('diskSecretsPlacement', { auth: attr(trueFalse) }), { status: true }),
};

export type Disk = Model<typeof fields>;

/** A drive whose medium comes and goes. */
export const isRemovable = ({ device }: Pick<Disk, 'device'>): boolean => device === 'cdrom' || device === 'floppy';

export const disk = element('disk', fields, {
  // Snapshots leave out what can not be written, so that need not be said.
  shape: (model: Disk) => (model.snapshot === 'no' && model.readonly ? { ...model, snapshot: undefined } : model),
});
export type DiskBus = NonNullable<Disk['target']['bus']>;
