/** From backup documents to models and back. */
import { formatElement } from '../schema/format';
import { parseElement, type ParseOptions } from '../schema/parse';
import { readXml } from '../xml/reader';
import { backup, type BackupDisk, type BackupDocument } from './elements';

/** A backup as it is asked for, or as it runs. */
export interface Backup extends Omit<BackupDocument, 'disks'> {
  disks: BackupDisk[];
}

export interface BackupDocumentOptions {
  /** The form that is kept of one that runs: how far each disk is. */
  readonly stored?: boolean;
}

/** Reads a `<domainbackup>`. Throws XML_DETAIL for what is not XML, otherwise one error with all faults and their lines. */
export function parseBackup(
  xml: string,
  { stored = false, unknown = 'refuse' }: BackupDocumentOptions & Partial<Pick<ParseOptions, 'unknown'>> = {},
): Backup {
  const { model } = parseElement(backup, readXml(xml), { mode: stored ? 'status' : 'inactive', unknown });
  return { ...model, disks: model.disks?.disks ?? [] };
}

/** Writes the document as libvirt does, with its secrets only in the stored form. */
export function formatBackup({ disks, ...rest }: Backup, { stored = false }: BackupDocumentOptions = {}): string {
  return formatElement(
    backup,
    { ...rest, disks: disks.length > 0 ? { disks } : undefined },
    { view: stored ? 'status' : 'inactive', secrets: stored, migratable: false },
  );
}
