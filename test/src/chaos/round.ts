/**
 * Rounds of one guest: it writes while a job works on its disk, somebody is killed, and afterwards all must be sound: the job
 * finished, went on, or failed with a reason, documents and headers agree, and nothing that was flushed is lost.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deleteSnapshot, isVirtError, listSnapshots } from '@virtbus/shared';
import type { Bus } from '@virtbus/shared/bus';
import { eventually, type Stack } from '@virtbus/testkit';
import {
  chainsDefined,
  chainsOf,
  faultsMeanwhile,
  faultsOf,
  faultsOfImages,
  faultsOfLeases,
} from '../block-stand/sound';
import { disks, WritingGuest } from '../block-stand/writing-guest';
import { snapshot, type Interrupted, type Phase } from './jobs';
import { PatientClient } from './patient-client';
import type { Plan } from './plan';

export interface RoundResult {
  plan: Plan;
  /** How the job ended: `went well`, or the reason that it did not. */
  outcome: string;
  faults: readonly string[];
}

/** So many images every disk stands on when a round begins. */
const depth = 4;
/** After so many rounds the guest reads all of it back itself, and another one takes its place. */
const roundsOfGuest = 10;

type Images = Record<string, readonly string[]>;

export class Rounds {
  private guest: WritingGuest | undefined;
  private played = 0;
  /** QEMU was killed: clusters may be lost to their images. */
  private leaks = false;

  constructor(
    private readonly stack: Stack,
    private readonly bus: Bus,
  ) {}

  /** Throws only when the guest does not even come up before the round. */
  async play(plan: Plan): Promise<RoundResult> {
    this.guest ??= await WritingGuest.start(this.stack, this.bus, { name: `chaos${plan.index}` });
    const result = await this.interrupt(this.guest, plan);
    this.played += 1;
    if (result.faults.length > 0 || this.played % roundsOfGuest > 0) return result;
    return { ...result, faults: await this.finish() };
  }

  /** What is wrong with the guest that played, by its own checksums and those of its images; it goes when nothing is. */
  async finish(): Promise<string[]> {
    const { guest, leaks } = this;
    if (!guest) return [];
    const faults = await faultsOf(guest, { besides: readdirSync(guest.folder), leaks });
    if (faults.length === 0) await guest.remove();
    [this.guest, this.leaks] = [undefined, false];
    return faults;
  }

  private async interrupt(guest: WritingGuest, plan: Plan): Promise<RoundResult> {
    const { job, victim } = plan;
    const phases = new Map<Phase, () => void>();
    const reached = new Promise<void>((resolve) => phases.set(plan.phase, resolve));
    const client = new PatientClient(guest.bus, guest.uuid);
    const tag = `r${plan.index}`;
    const work = {
      guest,
      client,
      tag,
      images: await tidied(guest, client, tag),
      at: (phase: Phase) => phases.get(phase)?.(),
    };
    await job.prepare?.(work);
    const before = await imagesOf(guest);
    const running = job.run(work).then(
      () => 'went well',
      (error: unknown) => reasonOf(error),
    );
    // A job that ends early is followed by a kill at rest.
    await Promise.race([reached, running]);
    await sleep(plan.delayMs);
    const strike = victim.strike(guest, plan.awayMs).then(
      () => undefined,
      (error: unknown) => `${victim.name} did not come back: ${reasonOf(error)}`,
    );
    const [outcome, struck] = await Promise.all([running, strike]);
    const faults = struck ? [struck] : await this.faultsAfter(guest, work, plan, before, outcome).catch(notEvenLooked);
    return { plan, outcome, faults };
  }

  private async faultsAfter(
    guest: WritingGuest,
    { tag }: Pick<Interrupted, 'tag'>,
    { job, victim }: Plan,
    before: Images,
    outcome: string,
  ): Promise<string[]> {
    const faults: string[] = [];
    const ended = victim.guestEnds === true;
    if (/INTERNAL_ERROR|^Error/.test(outcome)) faults.push(`no true reason: ${outcome}`);
    if (ended) {
      this.leaks = true;
      faults.push(...faultsOfImages(guest, await chainsDefined(guest), { leaks: true }));
      await guest.boot();
    }
    const wanted = [job.after(before['vda']!, tag), ...(outcome === 'went well' && !ended ? [] : [before['vda']!])].map(
      text,
    );
    // Storage is told by events, and may have just come back.
    const now = async (): Promise<string> => text((await imagesOf(guest))['vda'] ?? []);
    await chainsSettle(guest);
    await eventually(now, (is) => wanted.includes(is), { timeoutMs: settlesMs }).catch(() => undefined);
    const is = await now();
    if (!wanted.includes(is)) faults.push(`vda stands on ${is}, not on ${wanted.join(', nor on ')}`);
    const made = outcome === 'went well' || ended ? (job.besides?.(tag) ?? []) : [];
    const besides = [...disks.flatMap((disk) => before[disk]!), ...made];
    const leased = async (): Promise<string[]> => faultsOfLeases(guest, await chainsOf(guest));
    await eventually(leased, [], { timeoutMs: settlesMs, intervalMs: 200 }).catch(() => undefined);
    return [...faults, ...(await faultsMeanwhile(guest, { besides }))];
  }
}

/** What a service that was killed over it has to be told again is told within this, milliseconds. */
const settlesMs = 20_000;

/** Storage is told by events: for a moment its document may name an image that a merge has taken away. */
async function chainsSettle(guest: WritingGuest): Promise<void> {
  const missing = async (): Promise<string[]> =>
    Object.values(await imagesOf(guest))
      .flat()
      .filter((name) => !existsSync(guest.file(name)));
  await eventually(missing, [], { timeoutMs: settlesMs, intervalMs: 200 }).catch(() => undefined);
}

/** The guest as a round begins with it: chains of four images, nothing else in its folder, no snapshot described. */
async function tidied(guest: WritingGuest, client: PatientClient, tag: string): Promise<string[]> {
  const { snapshots } = await client.ask(listSnapshots, {});
  for (const { name } of snapshots.reverse()) await client.ask(deleteSnapshot, { name, metadata: true });
  let images = await imagesOf(guest);
  for (let n = 0; disks.some((disk) => images[disk]!.length < depth); n++) {
    await snapshot(`layer${n}`, false)({ guest, client, tag });
    await guest.flushesMore(20);
    images = await imagesOf(guest);
  }
  const used = disks.flatMap((disk) => images[disk]!);
  for (const name of readdirSync(guest.folder)) if (!used.includes(name)) rmSync(guest.file(name));
  return images['vda']!.map((name) => guest.file(name));
}

async function imagesOf(guest: WritingGuest): Promise<Images> {
  const chains = await chainsOf(guest);
  const names = [...chains].map(([target, { layers }]) => {
    const paths = layers.map(({ location }) => ('path' in location ? basename(location.path) : location.type));
    return [target, paths] as const;
  });
  return Object.fromEntries(names);
}

const text = (images: readonly string[]): string => images.join(' ');

const notEvenLooked = (error: unknown): string[] => [`could not be looked at: ${reasonOf(error)}`];

function reasonOf(error: unknown): string {
  if (isVirtError(error)) return `${error.code}: ${error.message}`;
  const cause = error instanceof Error && error.cause !== undefined ? ` (${reasonOf(error.cause)})` : '';
  return `${String(error)}${cause}`;
}
