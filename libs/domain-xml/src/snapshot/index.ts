/** Snapshots of a domain: libvirt's document as a typed model, laid beside the domain's disks. */
export type { SnapshotDisk } from './elements';
export * from './documents';
export * from './align';
export type { DescriptionForm, DescriptionParseOptions } from '../moment/parse-as';
