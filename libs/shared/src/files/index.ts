export * from './boot-id';
export * from './folder-lock';
export * from './replace';
