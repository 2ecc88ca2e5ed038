/** How bytes of an image are read: in bounded pieces, from whatever holds them. */
import type { ImageIdentity } from '@virtbus/shared';

/** Something with bytes: a file, a device, an export, a buffer. */
export interface ImageReader {
  /** Length of what holds the image, bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`, or fewer where the image ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** An image as it was found where a location points. */
export interface OpenedImage extends ImageReader {
  readonly kind: 'file' | 'block' | 'dir';
  readonly identity: ImageIdentity;
  close(): Promise<void>;
}
