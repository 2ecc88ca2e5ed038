/** Who is killed, with signal 9, and what it takes that all goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '@virtbus/testkit';
import type { WritingGuest } from '../block-stand/writing-guest';
import { nodeNames } from '../integration/storage-stand';

export interface Victim {
  name: string;
  /** Kills it and, after so many milliseconds, lets it come back. */
  strike(guest: WritingGuest, awayMs: number): Promise<void>;
  /** The guest ends with it. */
  guestEnds?: boolean;
}

export const victims: readonly Victim[] = [
  {
    name: 'driver-qemu',
    strike: ({ stack }, awayMs) => stack.restartDriver('h1', () => sleep(awayMs)),
  },
  {
    name: 'driver-qemu, and QEMU hangs meanwhile,',
    strike: async ({ stack, bus, uuid }, awayMs) => {
      const pid = stack.pidOf(uuid);
      process.kill(pid, 'SIGSTOP');
      try {
        await stack.restartDriver('h1', () => sleep(awayMs));
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await eventually(() => nodeNames(bus, uuid).then(() => true), true);
    },
  },
  {
    name: 'driver-qemu and storage',
    strike: async ({ stack }, awayMs) => {
      await Promise.all([
        stack.restartDriver('h1', () => sleep(awayMs)),
        stack.restartStorage('h1', () => sleep(awayMs)),
      ]);
    },
  },
  {
    name: 'storage',
    strike: ({ stack }, awayMs) => stack.restartStorage('h1', () => sleep(awayMs)),
  },
  {
    name: 'nats-server',
    strike: async ({ stack }, awayMs) => {
      await stack.nats.kill9();
      await sleep(awayMs);
      await stack.nats.restart();
      await stack.hostsOnline(1);
    },
  },
  {
    name: 'QEMU',
    guestEnds: true,
    strike: async ({ stack, bus, uuid }) => {
      process.kill(stack.pidOf(uuid), 'SIGKILL');
      await eventually(async () => (await stack.state(bus, uuid)).split('(')[0], 'shutoff', { timeoutMs: 30_000 });
    },
  },
];
