/** `<domainsnapshot>`: what a snapshot of a domain is made of and where its parts lie. */
import { cpu } from '../elements/cpu';
import { domain } from '../elements/domain';
import { imageFormat, metadataCache, storageSource } from '../elements/storage-source';
import {
  attr,
  element,
  flag,
  leaf,
  many,
  one,
  oneOf,
  oneZero,
  string,
  ulong,
  type Element,
  type Model,
} from '../schema';
import { snapshotName, snapshotNameFault } from '../moment/name';

const diskTypes = ['file', 'block', 'network', 'nvme', 'vhostuser', 'vhostvdpa'] as const;

const diskFields = {
  name: attr(string, { required: 'missing name from disk snapshot element' }),
  snapshot: attr(oneOf('no', 'internal', 'external', 'manual'), {
    refuse: ['XML_ERROR', (raw) => `unknown disk snapshot setting '${raw}'`],
  }),
  type: attr(oneOf(...diskTypes), {
    default: 'file',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unsupported disk snapshot type '${raw}'`],
  }),
  /** The snapshot was being deleted into this image when something went wrong. */
  snapshotDeleteInProgress: flag(),
  driver: one(
    element('driver', {
      type: attr(imageFormat, { refuse: ['XML_ERROR', (raw) => `unknown disk snapshot driver '${raw}'`] }),
      metadata_cache: one(metadataCache),
    }),
  ),
  /** The overlay that is made. */
  source: one(storageSource),
};
export type SnapshotDisk = Model<typeof diskFields>;

const disk: Element<SnapshotDisk> = element('disk', diskFields, {
  refine: (model: SnapshotDisk) => {
    if (model.source !== undefined) model.snapshot ??= 'external';
  },
  shape: (model: SnapshotDisk) =>
    model.source === undefined && model.driver?.type === undefined ? { ...model, type: undefined } : model,
});

const memory = element('memory', {
  snapshot: attr(oneOf('no', 'internal', 'external'), {
    refuse: ['XML_ERROR', (raw) => `unknown memory snapshot setting '${raw}'`],
  }),
  /** Absolute path of the file that holds an external one. */
  file: attr(string),
});

const snapshotStates = [
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
  'disk-snapshot',
] as const;

const fields = {
  name: leaf(snapshotName, {
    refuse: ['XML_DETAIL', (raw) => snapshotNameFault(raw) ?? 'the name of a snapshot is empty'],
  }),
  description: leaf(string),
  /** Of the domain, when the snapshot was made. */
  state: leaf(oneOf(...snapshotStates), {
    live: 'input',
    refuse: ['XML_ERROR', (raw) => `Invalid state '${raw}' in domain snapshot XML`],
  }),
  parent: one(element('parent', { name: leaf(string) }), { live: 'input' }),
  /** Seconds since 1970. */
  creationTime: leaf(ulong, { live: 'input' }),
  memory: one(memory),
  disks: one(element('disks', { disks: many(disk) })),
  /** Overlays that a revert to this snapshot made: what the domain runs on now. */
  revertDisks: one(element('revertDisks', { disks: many(disk) }), { live: 'input' }),
  /** The domain as it ran. */
  domain: one(domain, { live: 'input', definition: true }),
  /** Its definition beside that, where the two differ. */
  inactiveDomain: one(domain, { live: 'input', definition: true, name: 'inactiveDomain' }),
  /** What the driver that made it must know to load the memory again. */
  cookie: one(element('cookie', { cpu: one(cpu), slirpHelper: flag() }), { live: 'input' }),
  /** The newest one of the domain's present. */
  active: leaf(oneZero, { status: true }),
};

/** As declared; `name` and the disks' list are filled in by reading. */
export type SnapshotDocument = Model<typeof fields>;

export const snapshot: Element<SnapshotDocument> = element('domainsnapshot', fields, { alsoReads: ['active'] });
