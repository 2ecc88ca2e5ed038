export * from './capabilities';
export * from './driver';
export * from './process';
export { driverMain } from './main';
export { runDriver, type RunningDriver } from './runtime';
export { driverSettings } from './settings';
