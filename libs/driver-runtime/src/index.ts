export * from './driver';
export { runDriver, type RunningDriver } from './runtime';
export { driverSettings } from './settings';
