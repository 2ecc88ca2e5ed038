/**
 * Rounds of one guest: it moves, somebody is struck, and afterwards, whatever came of it, it lives at one place and runs there,
 * or is shut off because its own QEMU was killed; it has counted on and lost nothing, and nothing is left of the migration.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { abortMigration, isVirtError, migrateDomain, showMigration, type Migration } from '@virtbus/shared';
import { call, newId } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { chainsDefined, faultsOfImages } from '../../block-stand/sound';
import { MovingGuest, type Wish } from '../../migration-stand/moving-guest';
import { tidy } from '../../migration-stand/moves';
import { faultsOfRunning, faultsThatStay, placesOf } from '../../migration-stand/sound';
import type { MigrationStand } from '../../migration-stand/stand';
import { PatientClient } from '../patient-client';
import { Points } from './points';
import type { Plan } from './plan';

export interface RoundResult {
  plan: Plan;
  /** What came of the migration, with its reason. */
  outcome: string;
  faults: readonly string[];
}

/** For everything that restarts take, on a busy machine, and for what TCP takes to give a connection up. */
const closedMs = 180_000;
/** Slow enough that one that is to be given up is still being sent, bytes a second. */
const slow = 1024 * 1024;

export class Rounds {
  private guest: MovingGuest | undefined;

  /** @param guest that runs on the stand already; one is started when left out */
  constructor(
    private readonly stand: MigrationStand,
    guest?: MovingGuest,
  ) {
    this.guest = guest;
  }

  /** Throws only when the guest does not even come up before the round. */
  async play(plan: Plan): Promise<RoundResult> {
    const guest = (this.guest ??= await MovingGuest.start(this.stand, `chaos${plan.index}`));
    const from = guest.host;
    const to = this.stand.hosts.find((host) => host !== from)!;
    const { victim, awayMs, copy } = plan;
    const id = newId();
    using points = await Points.of(this.stand, id);
    const moving = this.move(guest, to, id, plan);
    await Promise.race([this.reach(points, id, plan), moving, sleep(plan.restIsSlow ? 120_000 : 20_000)]);
    await sleep(plan.delayMs);
    const strike = victim.strike({ guest, from, to, awayMs, copy }).then(
      (killed) => ({ killed: killed === true, faults: [] as string[] }),
      (error: unknown) => ({ killed: false, faults: [`${victim.name}: ${reasonOf(error)}`] }),
    );
    const [migration, { killed, faults }] = await Promise.all([moving, strike]);
    const struck = killed ? { from, to }[victim.qemuOf!] : undefined;
    faults.push(...(await this.faultsAfter(guest, from, to, migration, struck).catch(notEvenLooked)));
    return { plan, outcome: outcomeOf(migration), faults };
  }

  private async reach(points: Points, id: string, { point }: Plan): Promise<void> {
    if (point === 'step withdraw') {
      await points.reached('source performing');
      await call(this.stand.bus, abortMigration, {}, { target: id }).catch(() => undefined); // it may have ended
    }
    await points.reached(point);
  }

  /** Until the migration is closed, or was refused for good. */
  private async move(guest: MovingGuest, to: string, id: string, plan: Plan): Promise<Migration | Error> {
    const { bus } = this.stand;
    const refused = await this.ask(guest, to, id, plan).then(() => undefined, asError);
    const show = async (): Promise<Migration> =>
      (await call(bus, showMigration, {}, { target: id, timeoutMs: 5_000 })).migration;
    const now = async (): Promise<Migration | undefined> => show().catch(() => undefined);
    // An answer that nobody got says nothing: whether there is a migration does.
    if (refused && !(await now())) return refused;
    const isClosed = (migration: Migration | undefined): boolean => migration?.step === 'done';
    const closed = await eventually(now, isClosed, { timeoutMs: closedMs }).catch(() => undefined);
    return closed ?? show().catch(asError);
  }

  private async ask(guest: MovingGuest, to: string, id: string, { kind, point, restIsSlow }: Plan) {
    const wish: Wish = await kind.wish(guest);
    const limits = {
      ...(point === 'step withdraw' && { bandwidth: slow }),
      ...(restIsSlow && { bandwidth: slow, postcopyBandwidth: slow }),
    };
    await new PatientClient(this.stand.bus, guest.uuid).ask(migrateDomain, { live: true, ...wish, ...limits, to }, id);
  }

  /** @param struck the host whose QEMU was killed */
  private async faultsAfter(
    guest: MovingGuest,
    from: string,
    to: string,
    migration: Migration | Error,
    struck: string | undefined,
  ): Promise<string[]> {
    const faults: string[] = [];
    await this.stand.stack.hostsOnline(this.stand.hosts.length);
    if (migration instanceof Error) {
      if (!isVirtError(migration) || migration.code === 'INTERNAL_ERROR')
        faults.push(`no true reason: ${reasonOf(migration)}`);
    } else {
      const { step, owed, state, reason } = migration;
      if (step !== 'done') faults.push(`the migration is not closed: ${state} ${step}, owes ${owed.join()}`);
      if (state !== 'completed' && !reason) faults.push('it came to nothing without a reason');
    }
    faults.push(...(await faultsThatStay(guest)));
    const [place] = await placesOf(guest);
    if (!place) return faults;
    guest.disks.host = place.host;
    const lost = lostWith(migration);
    const moved = lost === 'source' || (!(migration instanceof Error) && migration.state === 'completed');
    if (place.host !== (moved ? to : from)) faults.push(`it is ${outcomeOf(migration)}, and lives on ${place.host}`);
    const ended = struck === place.host || struck === (lost === 'source' ? from : lost && to);
    const wanted = struck && ended ? /^shutoff\((crashed|failed)\)/ : /^running/;
    if (!wanted.test(place.state)) faults.push(`it is ${place.state} on ${place.host}, struck was QEMU on ${struck}`);
    if (faults.length > 0) return faults;
    if (place.state.startsWith('running')) await guest.isHeard();
    else {
      faults.push(...faultsOfImages(guest.disks, await chainsDefined(guest.disks), { leaks: true }));
      await guest.boot();
    }
    faults.push(...guest.countingFaults(), ...(await faultsOfRunning(guest)));
    if (faults.length === 0) await tidy(guest);
    return faults;
  }
}

function outcomeOf(migration: Migration | Error): string {
  if (migration instanceof Error) return `refused: ${reasonOf(migration)}`;
  const { state, reason } = migration;
  return reason === undefined ? state : `${state}: ${reason}`;
}

/** Whose QEMU took the guest of a post-copy along: the source's had the rest of it, the target's was to let it run. */
function lostWith(migration: Migration | Error): 'source' | 'target' | undefined {
  if (migration instanceof Error || migration.state !== 'failed') return undefined;
  const { reason = '' } = migration;
  if (/^operation failed: the guest ended before all of its memory had come/i.test(reason)) return 'source';
  return /^operation failed: the guest ended with its target: post-copy had begun/i.test(reason) ? 'target' : undefined;
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const notEvenLooked = (error: unknown): string[] => [`could not be looked at: ${reasonOf(error)}`];

const reasonOf = (error: unknown): string => (isVirtError(error) ? `${error.code}: ${error.message}` : String(error));
