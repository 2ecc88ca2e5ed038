/** Image headers, backing strings and chain discovery: bounded reads, no processes. */
export type { ImageReader, OpenedImage } from './reader';
export type { ChainStart, DiscoverOptions, GivenLayer, OpenImage } from './chain/types';
