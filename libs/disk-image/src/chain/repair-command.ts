/** What makes an overlay start again that does not record the format of the image below it: for messages. */
import type { ImageFormat } from '@virtbus/shared';

/** @param format the overlay's; only qcow2 has a place for what is missing */
export function repairCommand(overlay: string, format: ImageFormat): string {
  if (format !== 'qcow2') {
    return `a ${format} image has no place for it, so give the layer in the domain's <backingStore>, or convert the image to qcow2`;
  }
  return `virtbus chain repair ${shellWord(overlay)} --format FORMAT`;
}

const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
