/** Image headers, backing strings and chain discovery: bounded reads, no processes. */
export type { ImageReader, OpenedImage } from './reader';
export type { ImageHeader, RecordedBacking } from './header/types';
export { probeFormat, readHeader } from './header/read-header';
export { parseLocation, type ParsedLocation } from './location/parse';
export { resolveLocation, type ResolvedLocation } from './location/resolve';
export { describeLocation, formatLocation } from './location/format';
export { blockdevOf } from './location/blockdev';
export { localImages, type LocalImagesOptions } from './local/open';
export { machineId } from './local/machine';
export { identityKey } from './local/identity';
export { canHaveBacking } from './chain/can-have-backing';
export { discoverChain } from './chain/discover';
export type { ChainStart, DiscoverOptions, GivenLayer, OpenImage } from './chain/types';
export { findLayer, type LookupOptions, type NamedLayer } from './chain/lookup';
export { relativeName } from './chain/relative-name';
export { setBackingFormat } from './repair/set-backing-format';
