/** A prepared domain as QEMU's command line, and its parts for hot-plug: one description serves both. */
export { buildCommandLine } from './command-line';
export type {
  CommandLineContext,
  Descriptor,
  DescriptorUse,
  DiskNodes,
  EncryptedSecret,
  Guest,
  HostSettings,
  HugePages,
  ObjectProps,
  QemuCommandLine,
  SecretRequest,
} from './context';
export { toJson, type JsonValue, type Props } from './props';
export { numberDisk, numberImages } from './block-chain';
export { diskBlocks, type BlockStep, type DiskBlocks } from './blockdev';
export { diskProps } from './disk';
export { controllerProps } from './controller';
export { interfaceProps, netdevId, netdevProps, queuesOf, usesTap, usesVhost, type InterfaceDescriptors } from './network';
export { backendForQmp, type BackendOptions, type Character } from './character-backend';
export {
  channelBackend,
  channelProps,
  chardevId,
  consoleProps,
  parallelProps,
  redirdevProps,
  serialProps,
  smartcardProps,
} from './character';
export { inputProps } from './input';
export { rngObject, rngProps } from './rng';
export { balloonProps } from './balloon';
export { watchdogProps } from './watchdog';
export { iothreadObject } from './iothreads';
export { soundProps } from './audio';
export { videoProps } from './video';
export { afterUnplug, mediumPlan, plugPlan, type PlugPlan, type PlugStep, type QmpStep } from './plug';
