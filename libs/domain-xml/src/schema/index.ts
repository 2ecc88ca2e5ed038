export * from './faults';
export * from './lines';
export * from './field';
export * from './value';
export { cpuset, formatSet, parseSet } from './cpuset';
