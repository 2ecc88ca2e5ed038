export * from './driver';
export * from './process';
export { runDriver, type RunningDriver } from './runtime';
export { driverSettings } from './settings';
