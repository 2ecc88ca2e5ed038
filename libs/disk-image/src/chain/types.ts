/** What the search for a backing chain starts from, and what it may do. */
import type { ImageFormat, Location } from '@virtbus/shared';
import type { OpenedImage } from '../reader';

/** An image as a document describes it. Its header is not asked for what is said here. */
export interface GivenLayer {
  readonly location: Location;
  /** Of the active layer: without it the image is raw, whatever it holds. */
  readonly format?: ImageFormat | undefined;
  /** `created`: we made the image and remember its format. */
  readonly formatKnown?: 'given' | 'created' | undefined;
  /** Where a qcow2 image keeps its data, when the document says so. */
  readonly dataFile?: Location | undefined;
}

export interface ChainStart extends GivenLayer {
  /** Backing layers that the document gives, from the top down. */
  readonly below?: readonly GivenLayer[] | undefined;
  /** The document ends the chain after the last given layer: no header is followed. */
  readonly ended?: boolean | undefined;
}

/**
 * Opens an image for reading; undefined where we have no client for the place.
 * @param trust `named` for a place that only an image's header names: no device, no kernel file is opened for it
 * @throws VirtError when the image is missing or must not be opened
 */
export type OpenImage = (location: Location, trust: 'given' | 'named') => Promise<OpenedImage | undefined>;

export interface DiscoverOptions {
  /**
   * `strict`: a backing image without recorded format is refused.
   * `compatible`: its own format may be probed, when it names neither a backing nor a data file.
   */
  readonly policy?: 'strict' | 'compatible' | undefined;
  readonly open: OpenImage;
  /** Images a chain may have; 200 when not said. */
  readonly maxDepth?: number | undefined;
}
