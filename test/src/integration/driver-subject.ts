/** What the conformance suite needs of a driver: documents it runs, its guests' processes, and what it cannot do. */
import { rmSync } from 'node:fs';
import {
  execInDomain,
  managedSave,
  qmpCommand,
  resetDomain,
  saveDomain,
  screenshot,
  sendKey,
  setVcpus,
  type Contract,
} from '@virtbus/shared';
import { needsContainers, requirement, Stack, type Requirement } from '@virtbus/testkit';

/** An operation that the driver must answer with UNSUPPORTED_BY_DRIVER, on a running guest. */
export type Unsupported = readonly [contract: Contract, request: Record<string, unknown>];

export interface DriverSubject {
  readonly driver: string;
  readonly needs: Requirement;
  start(): Promise<Stack>;
  /** A small guest's document, with more elements of the domain itself. */
  document(stack: Stack, name: string, more?: string): Promise<string>;
  /** The processes that keep the guest: stopped, it hangs. */
  keepers(stack: Stack, uuid: string): number[];
  /** End the guest as an accident would. */
  crash(stack: Stack, uuid: string): void;
  readonly unsupported: readonly Unsupported[];
}

const qemu: DriverSubject = {
  driver: 'qemu',
  needs: requirement('QEMU', () => true),
  start: () => Stack.start({ hosts: ['h1'] }),
  document: (stack, name, more = '') => stack.domainXml({ name, more }),
  keepers: (stack, uuid) => [stack.pidOf(uuid)],
  crash: (stack, uuid) => process.kill(stack.pidOf(uuid), 'SIGKILL'),
  unsupported: [[execInDomain, { session: 'a'.repeat(20), errors: 'b'.repeat(20), command: ['true'] }]],
};

const lxc: DriverSubject = {
  driver: 'lxc',
  needs: needsContainers(),
  start: () => Stack.start({ hosts: [], lxcHosts: ['h1'] }),
  document: (stack, name, more = '') => stack.containerXml({ name, more }),
  keepers: (stack, uuid) => [stack.supervisorOf(uuid)],
  crash: (stack, uuid) => process.kill(stack.containerInit(uuid), 'SIGKILL'),
  unsupported: [
    [resetDomain, {}],
    [setVcpus, { count: 1, affect: 'live' }],
    [screenshot, {}],
    [sendKey, { keys: ['KEY_A'] }],
    [qmpCommand, { execute: 'query-status' }],
    [saveDomain, { path: '/nowhere/x' }],
    [managedSave, {}],
  ],
};

const simulated: DriverSubject = {
  driver: 'test',
  needs: requirement('nothing', () => true),
  start: () => Stack.start({ hosts: [], testHosts: ['h1'] }),
  document: async (_stack, name, more = '') =>
    `<domain type='test'><name>${name}</name><memory>65536</memory><os><type>hvm</type></os>${more}</domain>`,
  keepers: () => [],
  crash: (stack, uuid) => rmSync(stack.machineOf('h1', uuid)),
  unsupported: [
    [setVcpus, { count: 1, affect: 'live' }],
    [screenshot, {}],
    [saveDomain, { path: '/nowhere/x' }],
    [execInDomain, { session: 'a'.repeat(20), errors: 'b'.repeat(20), command: ['true'] }],
  ],
};

export const subjects: readonly DriverSubject[] = [qemu, lxc, simulated];
