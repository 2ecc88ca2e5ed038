export * from './authority';
export * from './authority-folder';
export * from './nats-server';
export * from './roles';
export * from './servers';
