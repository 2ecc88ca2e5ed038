export * from './driver';
export { memoryOf, vcpusOf } from './document';
export { runDriver, type RunningDriver } from './runtime';
export { driverSettings } from './settings';
export { makeFolder, replaceFile } from './store';
