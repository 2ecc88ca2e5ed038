/** Who is struck while a guest moves, how, and what it takes that all goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MovingGuest } from '../../migration-stand/moving-guest';

export interface Scene {
  guest: MovingGuest;
  from: string;
  to: string;
  /** For how long whoever is struck is away, milliseconds. */
  awayMs: number;
  /** Which of several copies. */
  copy: number;
}

export interface Victim {
  name: string;
  /** Resolves when all is as it was before, but for a QEMU: that stays away. True when one was killed. */
  strike(scene: Scene): Promise<boolean | void>;
  /** The side whose QEMU it is. */
  qemuOf?: 'from' | 'to';
}

const driver = (side: 'from' | 'to', name: string): Victim => ({
  name: `${name}'s driver killed`,
  strike: ({ guest, awayMs, ...sides }) => guest.stand.stack.restartDriver(sides[side], () => sleep(awayMs)),
});

const driverStops = (side: 'from' | 'to', name: string): Victim => ({
  name: `${name}'s driver stopped`,
  strike: async ({ guest, awayMs, ...sides }) => {
    const process = guest.stand.stack.drivers.get(sides[side])!;
    process.kill('SIGSTOP');
    await sleep(2 * awayMs);
    process.kill('SIGCONT');
  },
});

const storage = (side: 'from' | 'to', name: string): Victim => ({
  name: `${name}'s storage killed`,
  strike: ({ guest, awayMs, ...sides }) => guest.stand.stack.restartStorage(sides[side], () => sleep(awayMs)),
});

const qemu = (side: 'from' | 'to', name: string): Victim => ({
  name: `${name}'s QEMU killed`,
  qemuOf: side,
  strike: async ({ guest, ...sides }) => {
    const pids = guest.stand.stack.pidsOn(sides[side], guest.uuid);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    return pids.length > 0;
  },
});

export const victims: readonly Victim[] = [
  driver('from', 'source'),
  driver('to', 'target'),
  qemu('from', 'source'),
  qemu('to', 'target'),
  storage('from', 'source'),
  storage('to', 'target'),
  {
    name: 'storage of both killed',
    strike: async ({ guest: { stand }, from, to, awayMs }) => {
      await Promise.all([from, to].map((host) => stand.stack.restartStorage(host, () => sleep(awayMs))));
    },
  },
  {
    name: 'one migration service killed',
    strike: ({ guest, awayMs, copy }) => guest.stand.stack.restartMigrationService(copy, () => sleep(awayMs)),
  },
  {
    name: 'both migration services killed',
    strike: async ({ guest: { stand }, awayMs }) => {
      await Promise.all([0, 1].map((copy) => stand.stack.restartMigrationService(copy, () => sleep(awayMs))));
    },
  },
  {
    name: 'domain service killed',
    strike: ({ guest, awayMs }) => guest.stand.stack.restartDomainService(0, () => sleep(awayMs)),
  },
  {
    name: 'nats-server killed',
    strike: async ({ guest: { stand }, awayMs }) => {
      await stand.stack.nats.kill9();
      await sleep(awayMs);
      await stand.stack.nats.restart();
    },
  },
  driverStops('from', 'source'),
  driverStops('to', 'target'),
  {
    name: 'hosts parted',
    strike: async ({ guest: { stand }, from, to, awayMs }) => {
      stand.namespaces.part(from, to);
      await sleep(3 * awayMs);
      stand.namespaces.join(from, to);
    },
  },
  {
    name: 'packets lost',
    strike: async ({ guest: { stand }, from, to, awayMs }) => {
      stand.namespaces.lose(from, to, 30);
      await sleep(3 * awayMs);
      stand.namespaces.noLoss(from, to);
    },
  },
  {
    name: "target's link down",
    strike: async ({ guest: { stand }, to, awayMs }) => {
      stand.namespaces.link(to, 'down');
      await sleep(3 * awayMs);
      stand.namespaces.link(to, 'up');
    },
  },
];
