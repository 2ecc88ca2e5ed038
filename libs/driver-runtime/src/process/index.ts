/** Processes that outlive us: who they are, the socket and the log they are given. */
export { GuestLog, MAX_LOG_BYTES } from './guest-log';
export { identify, isSame, kill, readProc, readStat, type ProcessIdentity, type ProcessStat } from './identity';
export { withInheritedListener } from './inherited-listener';
export { findOrphan } from './orphan';
