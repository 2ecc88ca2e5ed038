/**
 * One round: a guest writes while a job works on its disk, somebody is killed, and afterwards all must be sound: the job
 * finished, went on, or failed with a reason, documents and headers agree, and nothing that was flushed is lost.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError } from '@virtbus/shared';
import type { Bus } from '@virtbus/shared/bus';
import { eventually, type Stack } from '@virtbus/testkit';
import { Random } from '../fuzz/random';
import { chainsOf, faultsOf } from '../block-stand/sound';
import { disks, WritingGuest } from '../block-stand/writing-guest';
import { jobs, type ChaosJob, type Interrupted, type Phase } from './jobs';
import { PatientClient } from './patient-client';
import { victims, type Victim } from './victims';

export interface Plan {
  index: number;
  job: ChaosJob;
  victim: Victim;
  /** From when the delay is counted. */
  phase: Phase;
  delayMs: number;
  awayMs: number;
}

export interface RoundResult {
  plan: Plan;
  /** How the job ended: `went well`, or the reason that it did not. */
  outcome: string;
  faults: readonly string[];
}

/** Every job meets every victim before a pair comes again; which comes when, and at what moment, the seed says. */
export function planOf(seed: number, index: number): Plan {
  const pairs = jobs.flatMap((job) => victims.map((victim) => ({ job, victim })));
  const order = new Random(seed, Math.floor(index / pairs.length));
  for (let at = pairs.length - 1; at > 0; at--) {
    const other = order.below(at + 1);
    [pairs[at], pairs[other]] = [pairs[other]!, pairs[at]!];
  }
  const random = new Random(seed + 1, index);
  const { job, victim } = pairs[index % pairs.length]!;
  // Any moment, or close to one where something is handed over.
  const anywhere = random.chance(0.5);
  const phase = anywhere || random.chance(0.4) ? 'begin' : 'end';
  const delayMs = random.below(anywhere ? job.lasts : 100);
  return { index, job, victim, phase, delayMs, awayMs: random.below(600) };
}

export const planText = ({ index, job, victim, phase, delayMs, awayMs }: Plan): string =>
  `${index}: ${job.name}; ${victim.name} killed ${delayMs} ms after its ${phase}${victim.guestEnds ? '' : `, away for ${awayMs} ms`}`;

/** Plays a round on a stack of one host. Throws only when the guest does not even come up before it. */
export async function play(stack: Stack, bus: Bus, plan: Plan): Promise<RoundResult> {
  const guest = await WritingGuest.start(stack, bus, { name: `chaos${plan.index}` });
  const result = await interrupted(guest, plan);
  if (result.faults.length === 0) await guest.remove();
  return result;
}

async function interrupted(guest: WritingGuest, plan: Plan): Promise<RoundResult> {
  const { job, victim } = plan;
  const phases = new Map<Phase, () => void>();
  const reached = new Promise<void>((resolve) => phases.set(plan.phase, resolve));
  const work: Interrupted = {
    guest,
    client: new PatientClient(guest.bus, guest.uuid),
    at: (phase) => phases.get(phase)?.(),
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
  const faults = struck ? [struck] : await faultsAfter(guest, plan, before, outcome).catch(notEvenLooked);
  return { plan, outcome, faults };
}

const notEvenLooked = (error: unknown): string[] => [`could not be looked at: ${reasonOf(error)}`];

function reasonOf(error: unknown): string {
  if (isVirtError(error)) return `${error.code}: ${error.message}`;
  const cause = error instanceof Error && error.cause !== undefined ? ` (${reasonOf(error.cause)})` : '';
  return `${String(error)}${cause}`;
}

const text = (images: readonly string[]): string => images.join(' ');

type Images = Record<string, readonly string[]>;

async function imagesOf(guest: WritingGuest): Promise<Images> {
  const chains = await chainsOf(guest);
  const names = [...chains].map(([target, { layers }]) => {
    const paths = layers.map(({ location }) => ('path' in location ? basename(location.path) : location.type));
    return [target, paths] as const;
  });
  return Object.fromEntries(names);
}

async function faultsAfter(guest: WritingGuest, plan: Plan, before: Images, outcome: string): Promise<string[]> {
  const { job, victim } = plan;
  const faults: string[] = [];
  if (/INTERNAL_ERROR|^Error/.test(outcome)) faults.push(`no true reason: ${outcome}`);
  if (victim.guestEnds) await guest.boot();
  const after = job.after(before['vda']!);
  const ended = [...(outcome === 'went well' && !victim.guestEnds ? [] : [before['vda']!]), after].map(text);
  // Storage is told by events, and may have just come back.
  const now = async (): Promise<string> => text((await imagesOf(guest))['vda'] ?? []);
  await eventually(now, (is) => ended.includes(is), { timeoutMs: 20_000 }).catch(() => undefined);
  const is = await now();
  if (!ended.includes(is)) faults.push(`vda stands on ${is}, not on ${ended.join(', nor on ')}`);
  const stoodOn = disks.flatMap((disk) => before[disk]!);
  const besides = [...stoodOn, ...(outcome === 'went well' || victim.guestEnds ? (job.besides ?? []) : [])];
  faults.push(...(await faultsOf(guest, { besides, leaks: victim.guestEnds ?? false })));
  return faults;
}

/** What the services of a stack have said, by name: for whoever looks into a failure. */
export function logsOf(stack: Stack): Record<string, string> {
  const all = [...stack.drivers, ...stack.storages].map(([, process], index) => [
    index === 0 ? 'driver' : 'storage',
    process.log.text,
  ]);
  const guests = stack.folder.file('state');
  const own = readdirSync(guests, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.log'));
  return Object.fromEntries([
    ...all,
    ['domain', stack.domainServices.map(({ log }) => log.text).join('\n')],
    ...own.map((name) => [basename(name), readFileSync(`${guests}/${name}`, 'utf8')]),
  ]) as Record<string, string>;
}
