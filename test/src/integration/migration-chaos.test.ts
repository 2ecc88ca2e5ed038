/**
 * On hosts with networks of their own a guest that counts, writes and is heard is moved in the kinds that differ most, and every
 * party is struck once while it moves. The long runs are `npm run chaos -- moves` and `npm run chaos -- migration`.
 */
import { needsHostNamespaces } from '@virtbus/testkit';
import { planText, type Plan } from '../chaos/migration/plan';
import type { Point } from '../chaos/migration/points';
import { Rounds } from '../chaos/migration/rounds';
import { victims } from '../chaos/migration/victims';
import { kinds } from '../migration-stand/kinds';
import { moveOn } from '../migration-stand/moves';
import { MovingGuest } from '../migration-stand/moving-guest';
import { MigrationStand } from '../migration-stand/stand';

jest.setTimeout(1_200_000);

const needs = needsHostNamespaces();

/** There and back in each. */
const moved = ['live', 'top layers copied', 'post-copy', 'TLS', 'offline'];

/** Where it hurts most; which seed plays what moment is the long run's. */
const struck: readonly (readonly [victim: string, point: Point, awayMs?: number])[] = [
  ["source's driver killed", 'source performing'],
  ["target's driver killed", 'source performed'],
  ["source's QEMU killed", 'source begun'],
  ["target's QEMU killed", 'target prepared'],
  ["target's storage killed", 'step prepare'],
  ['storage of both killed', 'step withdraw', 4_000],
  ['both migration services killed', 'target finishing'],
  ['nats-server killed', 'step handover'],
  ['packets lost', 'step perform'],
];

/** Its QEMU on the source has what the guest on the target still waits for. */
const halved = { victim: "source's QEMU killed", point: 'target finished', restIsSlow: true } as const;

const kindOf = (name: string) => kinds.find((kind) => kind.name === name)!;

needs.test(
  'a guest is moved in every way, and whoever is struck meanwhile, it lives once and loses nothing',
  async () => {
    await using stand = await MigrationStand.start(['h1', 'h2']);
    const guest = await MovingGuest.start(stand, 'mover');
    for (const name of moved) {
      for (const _way of ['there', 'back']) {
        const { kind, from, to, faults } = await moveOn(guest, kindOf(name));
        expect([`${kind} from ${from} to ${to}`, ...faults]).toEqual([`${kind} from ${from} to ${to}`]);
      }
    }
    const rounds = new Rounds(stand, guest);
    const play = async (plan: Plan): Promise<string> => {
      const { outcome, faults } = await rounds.play(plan);
      expect([planText(plan), outcome, ...faults]).toEqual([planText(plan), outcome]);
      return outcome;
    };
    const victimOf = (name: string) => victims.find((one) => one.name === name)!;
    const at = { kind: kindOf('live'), delayMs: 0, awayMs: 300, copy: 0 };
    for (const [index, [name, point, awayMs = at.awayMs]] of struck.entries())
      await play({ ...at, index, point, victim: victimOf(name), awayMs });
    const last = { ...at, index: struck.length, kind: kindOf('post-copy'), ...halved, victim: victimOf(halved.victim) };
    expect(await play(last)).toMatch(/^failed: .*before all of its memory had come from host 'h[12]'/);
  },
);
