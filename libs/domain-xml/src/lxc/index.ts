export { lxcDomainCapabilities } from './capabilities';
export { fromLxcConfig } from './from-config';
export type { CgroupController, DeviceNode, LxcCapabilities, LxcCgroups, LxcFacts } from './facts';
export { fillLxcDefaults, plugLxcDevice, prepareLxcDomain } from './prepare';
export { toLxcConfig } from './to-config';
export { initWords } from './to-config/init';
export { cpuWeight, lxcLimits, type LxcLimit } from './to-config/limits';
export { accessRule } from './to-config/device-nodes';
export { firstFree, lxcCard, lxcCardNames, type LxcCard } from './to-config/network';
