export * from './nats-server';
export * from './roles';
