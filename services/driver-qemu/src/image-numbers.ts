/** Numbers of images, which name their block nodes: none is given twice in a run of a guest, also when its image is gone. */
import { nextIndex, numberDisk, type Disk, type Domain } from '@virtbus/domain-xml';
import type { SavedQemu } from './saved-guest';

/** No image gets a number again that one in this document has. On disk with what is told next. */
export function keepNumbers(saved: SavedQemu, document: Domain): void {
  saved.nextIndex = nextIndex(document, saved.nextIndex);
}

/** A copy of a disk that is new to the guest, with numbers for its images. */
export function numbered({ live, saved }: { live: Domain; saved: SavedQemu }, disk: Disk): Disk {
  const copy = numberDisk(disk, nextIndex(live, saved.nextIndex));
  saved.nextIndex = copy.next;
  return copy.disk;
}
