/** Help for tests on real processes: a nats-server, our services, a Linux guest, and waiting for states. */
export { HostDisk, needsHostDisk } from './host-disk';
export { HostsInNamespaces, needsHostNamespaces } from './hosts-in-namespaces';
export { BusUsers } from './bus-users';
export { cgroupMounts, cgroupOf } from './cgroups';
export { endContainers, initOf, removeCgroups } from './containers';
export { eventually, type EventuallyOptions } from './eventually';
export type { ContainerSpec, GuestSpec } from './guest-documents';
export { freePort } from './free-port';
export { startNatsServer, type NatsServer, type NatsServerOptions } from './nats-server';
export {
  goodAgent,
  pretendAgent,
  syncedWith,
  type AgentAsked,
  type AgentReply,
  type PretendedAgent,
} from './pretended-agent';
export { patiently } from './patiently';
export { descendants, isAlive, processEntry, type ProcessEntry } from './process-table';
export { needsNewerQemu } from './newer-qemu';
export { ProcessLog } from './process-log';
export { ordinaryCapabilities } from './ordinary-capabilities';
export { checkout, findProgram } from './programs';
export { needsContainers, needsProgram, needsRoot, requirement, type Requirement } from './requirement';
export { Stack, type StackOptions } from './stack';
export {
  startProcess,
  startService,
  type Exit,
  type ProcessOptions,
  type ServiceOptions,
  type TestProcess,
  type WaitOptions,
} from './start-process';
export { temporaryFolder, type TemporaryFolder } from './temporary-folder';
export { tinyGuest, tinyGuestBooted, type TinyGuest } from './tiny-guest';
export { tinyRootfs, tinyRootfsBooted, tinyRootfsImage, type TinyRootfsOptions } from './tiny-rootfs';
