/** The text in an overlay's backing-format field, understood. */
import { ImageFormat } from '@virtbus/shared';
import type { RecordedBacking } from './types';

/** QEMU's names of formats that libvirt calls otherwise. */
const otherNames: Readonly<Record<string, ImageFormat>> = { parallels: 'ploop', aio: 'raw' };

/**
 * The format that a text records. QEMU records the driver of the node below, so a protocol driver's name (`nbd`, `file`, …), like
 * any other text that is no format, means raw data. An empty text is no record: QEMU would probe then.
 */
export function recordedFormat(text: string): Pick<RecordedBacking, 'format' | 'formatText'> {
  if (text === '') return {};
  const known = ImageFormat.safeParse(text);
  if (known.success) return { format: known.data };
  return { format: otherNames[text] ?? 'raw', formatText: text };
}
