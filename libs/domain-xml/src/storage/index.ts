/** Storage pools and volumes: libvirt's documents as typed models, and the command lines that make images of them. */
export type { Pool } from './pool';
export type { PoolSource } from './pool-source';
export { poolTypeInfo, poolTypeNames, type PoolType } from './pool-types';
export type { Volume, VolumeEncryption } from './volume';
export * from './documents';
export * from './qemu-img';
