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
export { nextIndex, numberDisk, numberImages } from './block-chain';
export type { Layers } from './block-layers';
export { chainLayers, imageNodes, imageRemoval, imageReopen, type ImageNodes, type NodeChoices } from './image-nodes';
export { headerFormatAt, imageCreation, likenessOf, type CreationChoices, type ImageCreation } from './image-creation';
export { diskBlocks, type BlockStep, type DiskBlocks, type Passing } from './blockdev';
export { prepareForStart, type StartPlaces } from './start-preparation';
export { virtiofsProps, virtiofsSocket } from './filesystem';
export { mediatedProps, pciHostProps, scsiHost, usbHostProps, vhostScsiProps } from './hostdev';
export { memoryDeviceProps, memoryObjects } from './memory-device';
export { cryptoObject, cryptoProps, hubProps, vsockProps } from './small-devices';
export { taintsOf } from './taints';
export { ioThrottle, throttleLimits } from './throttle';
export { tpmProps } from './tpm';
export { diskProps } from './disk';
export { controllerProps } from './controller';
export {
  interfaceProps,
  netdevId,
  netdevProps,
  queuesOf,
  usesTap,
  usesVhost,
  type InterfaceDescriptors,
} from './network';
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
export { deriveCapabilities, probeRulesDigest, type ProbeCommands, type QmpPeer } from './probe';
export { rngObject, rngProps } from './rng';
export { balloonProps } from './balloon';
export { watchdogProps } from './watchdog';
export { iothreadObject } from './iothreads';
export { soundProps } from './audio';
export { videoProps } from './video';
export {
  afterUnplug,
  isSameMedium,
  mediumOf,
  plugPlan,
  type Medium,
  type PlugPlan,
  type PlugStep,
  type QmpStep,
} from './plug';
