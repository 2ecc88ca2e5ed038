/**
 * The snapshots of one domain as they lie beside its definition: one file each in `snapshots/`, in libvirt's XML with its
 * secrets. Which one is current stands in the domain's record.
 */
import { formatSnapshot, parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { DescriptionBook } from '../description-book';

export type SnapshotBook = DescriptionBook<Snapshot>;

export const openSnapshotBook = (folder: string, log: Log): SnapshotBook =>
  DescriptionBook.open(
    folder,
    {
      read: (xml) => parseSnapshot(xml, { form: 'stored', unknown: 'warn' }),
      // Which one is current the record says alone.
      write: (snapshot) => formatSnapshot({ ...snapshot, active: false }, { stored: true, secrets: true }),
      missing: (snapshot) => new VirtError('NO_DOMAIN_SNAPSHOT', { snapshot }),
    },
    log,
  );
