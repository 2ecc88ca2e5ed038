export { lxcDomainCapabilities, type LxcDomainCapabilities } from './capabilities';
export { fromLxcConfig, type FromLxcOptions } from './from-config';
export type { BlockSource, CgroupController, DeviceNode, LxcCapabilities, LxcCgroups, LxcFacts } from './facts';
export { fillLxcDefaults, plugLxcDevice, prepareLxcDomain, type LxcHost } from './prepare';
export { toLxcConfig } from './to-config';
export { initWords } from './to-config/init';
export { accessRule } from './to-config/device-nodes';
