export * from './block-job';
export * from './chain';
export * from './domain';
export * from './domain-state';
export * from './event';
export * from './host';
export * from './ids';
export * from './migration';
