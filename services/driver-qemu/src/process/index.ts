/** QEMU processes: launch, end, use of the host, and the memory stream of save and restore. */
export { adopt, type ExitStatus, type GuestProcess } from './guest-process';
export {
  FIRST_INHERITED_FD,
  LaunchError,
  MONITOR_FD,
  launch,
  mortalCommand,
  type Launched,
  type LaunchOptions,
} from './launch';
export { restoreMemory, skipTo, type RestoreOptions, type SavedState } from './restore-memory';
export { saveMemory, type SaveOptions } from './save-memory';
export { terminate, type TerminateOptions } from './terminate';
export { readThreadCpuTimeNs, readUsage, type ProcessUsage } from './usage';
