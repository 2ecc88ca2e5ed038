/** What block operations plan on documents, nodes and bitmaps: pure functions that a driver carries out. */
export * from './addressing';
export * from './bitmap-actions';
export * from './bitmaps';
export * from './chain-edits';
export { parseCopyTarget } from './copy-target';
export * from './definition-edits';
export { diskImages, isChainEnded, storeImages, withImages, type DiskImage } from './images';
