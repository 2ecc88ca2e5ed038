export * from './contracts';
export * from './errors';
export * from './model';
