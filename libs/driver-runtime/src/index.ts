export * from './capabilities';
export * from './driver';
export * from './process';
export { driverMain } from './main';
export { driverSettings } from './settings';
