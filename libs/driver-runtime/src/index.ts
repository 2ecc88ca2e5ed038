export * from './capabilities';
export * from './driver';
export type * from './migration-facet';
export * from './process';
export { driverMain } from './main';
export { driverSettings } from './settings';
export { tuningOf } from './tuning';
