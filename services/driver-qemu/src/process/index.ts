/** QEMU processes: launch, identity, end, use of the host, and the memory stream of save and restore. */
export { GuestLog, MAX_LOG_BYTES } from './guest-log';
export { adopt, type ExitStatus, type GuestProcess } from './guest-process';
export { identify, isSame, kill, readStat, type ProcessIdentity, type ProcessStat } from './identity';
export { FIRST_INHERITED_FD, LaunchError, MONITOR_FD, launch, type Launched, type LaunchOptions } from './launch';
export { findOrphan } from './orphan';
export { restoreMemory, skipTo, type RestoreOptions, type SavedState } from './restore-memory';
export { saveMemory, type SaveOptions } from './save-memory';
export { terminate, type TerminateOptions } from './terminate';
export { readThreadCpuTimeNs, readUsage, type ProcessUsage } from './usage';
