export * from './declarations';
export { meter, tally, type Sample } from './meter';
