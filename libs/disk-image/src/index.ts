/** Image headers, backing strings and chain discovery: bounded reads, no processes. */
export type { ImageReader } from './reader';
export type { ImageHeader } from './header/types';
export { probeFormat, readHeader } from './header/read-header';
export { newOverlay, type NewImage } from './header/new-overlay';
export { parseLocation } from './location/parse';
export { resolveLocation } from './location/resolve';
export { describeLocation, formatLocation } from './location/format';
export { blockdevOf } from './location/blockdev';
export { localImages } from './local/open';
export { machineId } from './local/machine';
export { identityKey } from './local/identity';
export { canHaveBacking } from './chain/can-have-backing';
export { discoverChain } from './chain/discover';
export type { ChainStart, OpenImage } from './chain/types';
export { findLayer } from './chain/lookup';
export { relativeName } from './chain/relative-name';
export { recordedFormat } from './header/recorded-format';
export { setBackingFormat } from './repair/set-backing-format';
