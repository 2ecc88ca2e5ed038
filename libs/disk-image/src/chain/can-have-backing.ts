/** Which formats name an image below. */
import type { ImageFormat } from '@virtbus/shared';

const layered: ReadonlySet<ImageFormat> = new Set(['cow', 'qcow', 'qcow2', 'qed', 'vmdk']);

export const canHaveBacking = (format: ImageFormat): boolean => layered.has(format);
