/** QEMU's monitor protocol: client, commands, events and errors. */
export { QmpClient, type ConnectOptions, type ExecuteOptions, type QmpGreeting } from './client';
export { MAX_MESSAGE_BYTES, QmpDecoder, encode, type QmpMessage } from './codec';
export { type CommandArgs, type CommandName, type CommandResult, type QmpCommandMap } from './commands';
export { MonitorBroken, MonitorClosed, MonitorTimeout, QmpError } from './errors';
export * from './events';
export * from './results';
