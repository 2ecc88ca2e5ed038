export { AtWork } from './at-work';
export * from './byte-records';
export * from './byte-stream';
export * from './call';
export * from './codec';
export * from './connection';
export type { ContextFile } from './context-file';
export * from './endpoints';
export * from './every-copy';
export { header, writeContext, type CallContext } from './headers';
export * from './jetstream';
export * from './journal';
export * from './kv';
export * from './moves';
export * from './publisher';
export * from './serve';
export {
  lastEvent,
  lastSequence,
  tail,
  tailMoves,
  tailStorage,
  type Logged,
  type Since,
  type TailOptions,
} from './tail';
export * from './work-queue';
