export * from './faults';
export * from './field';
export * from './value';
export { cpuset, formatSet, parseSet } from './cpuset';
