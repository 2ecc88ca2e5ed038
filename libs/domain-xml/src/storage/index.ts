/** Storage pools and volumes: libvirt's documents as typed models, and the command lines that make images of them. */
export type { Pool } from './pool';
export { poolTypeInfo, poolTypeNames, type PoolType } from './pool-types';
export type { Volume } from './volume';
export * from './documents';
export * from './qemu-img';
