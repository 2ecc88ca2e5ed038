export * from './folder-lock';
export * from './replace';
