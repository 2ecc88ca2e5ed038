/** Backups of a domain: libvirt's document as a typed model, laid beside the domain's disks. */
export type { BackupDisk, BackupServer } from './elements';
export * from './documents';
export * from './align';
