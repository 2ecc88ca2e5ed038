/** Command lines as people write them, in and out. */
export { domainFromQemuArgv } from './from-argv';
export { formatInvocation, type Invocation } from './shell';
