/**
 * Before a command that opens images reaches the driver: what the disks stand on is found out by the storage service of
 * the home host, and the images are leased, there and for the fleet. So are those that a block operation plans.
 *
 *   driver: disks, revision ─▶ storage: chains, leases ─▶ fleet leases ─▶ driver: the command, with the chains
 *
 * The driver refuses what was prepared for a domain that has changed since; then it is prepared anew. A command that came
 * to nothing lets its leases go; where its answer was lost they stay until the driver tells (`doubt.ts`, `settle.ts`).
 */
import { isEmptyDrive, parseDevice } from '@virtbus/domain-xml';
import {
  driverStorage,
  isVirtError,
  storageRelease,
  VirtError,
  type DiskCopy,
  type ErrorCode,
  type DomainSummary,
  type LeaseConflict,
  type LeaseHolder,
  type Prepared,
} from '@virtbus/shared';
import { callDriver, newId, type Call, type CallContext } from '@virtbus/shared/bus';
import { onBehalf, type Fleet } from '../fleet';
import type { At } from '../hosts';
import { askToPrepare, type Found } from './ask-to-prepare';
import { settleDoubt } from './doubt';
import { letGoUnused, type Look } from './drivers-word';
import { isFree } from './evict';

/** The domain that a command is about. */
export interface Subject extends At {
  uuid: string;
  name: string;
  epoch: number;
}

/** What a command opens: disks that it names itself, or some of those that the driver tells of. */
export interface Opening {
  /** It opened nothing when the domain was last told of: it is sent at once, and refused where that is no longer so. */
  nothing?: boolean;
  /** Pass a managed save image over. */
  afresh?: boolean;
  disks: string[] | ((look: Look) => string[]);
  /** Targets of those that it does without when their image is missing. @param told what the driver says of its next start */
  mayMiss?: (told: string[]) => string[];
  /** The command itself, where its driver plans what it needs beside those disks. */
  command?: { operation: string; request: unknown };
}

/** Preparations that a domain may outrun before its command is given up. */
const attempts = 5;

/** Run a command with what its disks need. */
export async function withImages<T extends { domain: DomainSummary }>(
  fleet: Fleet,
  subject: Subject,
  call: Call,
  { nothing = false, afresh = false, disks: wanted, mayMiss = () => [], command }: Opening,
  send: (prepared: Prepared | undefined) => Promise<T>,
): Promise<T> {
  if (typeof wanted !== 'function' && !wanted.some(hasMedium)) return send(undefined);
  if (nothing) {
    try {
      return await send(undefined);
    } catch (error) {
      if (!isVirtError(error, 'RESOURCE_BUSY')) throw error;
    }
  }
  const asked = { afresh, ...(command ? { command } : {}) };
  for (let attempt = 1; ; attempt++) {
    const context = onBehalf(call, { uuid: subject.uuid });
    const look = await callDriver(fleet.bus, subject, driverStorage, asked, context);
    const disks = (typeof wanted === 'function' ? wanted(look) : wanted).filter(hasMedium);
    if (disks.length === 0 && !look.needs?.length) return send(undefined);
    // A claim that was revoked stays so: each attempt has one of its own.
    const taker: LeaseHolder = { ...pick(subject), claim: claimOf(call, attempt, command ? [] : look.uses) };
    const beside = new Beside();
    // A driver that does not speak of it cannot leave a disk out.
    const without = look.mayMiss ? mayMiss(look.mayMiss) : [];
    const prepared = await prepare(fleet, taker, look, disks, call, { beside, mayMiss: without });
    const holder = { ...taker, claim: prepared.claim };
    try {
      const answer = await send(prepared).finally(() => beside.done());
      // What was planned is the driver's now: it tells of it in its own time.
      if (command) return answer;
      // The first answer of a command that was done before: nothing was opened now.
      if (answer.domain.revision <= look.revision) await letGo(fleet, holder, look.uses);
      else await releaseKept(fleet, holder, look);
      return answer;
    } catch (error) {
      await afterFailure(fleet, holder, look.uses, error, command ? beforePlanned : beforeAnything);
      if (!isVirtError(error, 'RESOURCE_BUSY') || attempt === attempts) throw error;
    }
  }
}

/**
 * The command's id; or, for one that comes again and under whose id its guest holds images, another: they may not be those that
 * it names now. What was planned is made once, under the first.
 */
function claimOf({ id }: Call, attempt: number, uses: Look['uses']): string {
  const isAgain = attempt === 1 && uses.some(({ claim }) => claim === id);
  // The last one is of this call alone: all others may have been revoked when the command was given before.
  if (isAgain || attempt === attempts) return `${id}.${newId()}`;
  return attempt === 1 ? id : `${id}.${attempt}`;
}

const pick = ({ uuid, name, host, driver, epoch }: Subject) => ({ domain: uuid, name, host, driver, epoch });

function hasMedium(xml: string): boolean {
  const device = parseDevice(xml);
  return device.list === 'disks' && !isEmptyDrive(device.value);
}

interface Preparing {
  /** The domain is on its way from another host, and keeps what it has there. */
  joins?: boolean;
  /** Targets of disks whose image need not be there. */
  mayMiss?: string[];
  /** What need not be waited for before the command is sent goes here. */
  beside?: Beside;
}

/** Find out what disks stand on and take their leases; who holds one without using it gives way. Throws `IMAGE_IN_USE`. */
export async function prepare(
  fleet: Fleet,
  asked: LeaseHolder,
  { revision, uses, needs = [], copies = [] }: Pick<Look, 'revision' | 'uses' | 'needs'> & { copies?: DiskCopy[] },
  disks: string[],
  call: Call,
  how: Preparing = {},
): Promise<Prepared> {
  const { domain: uuid, host, driver, name, epoch } = asked;
  const { mayMiss = [] } = how;
  let holder = asked;
  const evicted = new Set<string>();
  for (let turn = 1; ; turn++) {
    const { claim } = holder;
    const request = { driver, name, epoch, revision, uses, claim, disks, mayMiss, needs, copies };
    const context = (): CallContext & { domain: string } => ({ ...onBehalf(call), domain: uuid, epoch });
    const found = await askToPrepare(fleet.bus, host, request, context).catch((error: unknown) => {
      // It may have been taken all the same. Of what a migration has prepared its end decides.
      if (!how.joins && !isCertain(error)) doubted(fleet, holder);
      throw error;
    });
    await fleet.leases.drop(holder, found.released).catch((error: unknown) => {
      fleet.log.debug({ reason: VirtError.from(error).message }, 'what was let go is dropped later');
    });
    const taken = found.conflicts.length === 0;
    const conflicts = taken ? await takeForFleet(fleet, holder, found, how) : found.conflicts;
    const { images = [], missing = [] } = found;
    const prepared = { epoch, revision, claim, disks: found.disks, images, missing };
    if (conflicts.length === 0) return prepared;
    // Taken again when nobody is in the way: two that let go for each other both try anew.
    if (taken) {
      if (await isSentAlready(fleet, holder, how)) return prepared;
      if (!how.joins) holder = { ...asked, claim: `${asked.claim}.t${turn}` };
    }
    for (const conflict of conflicts) {
      const key = `${conflict.holder.host} ${conflict.holder.domain} ${conflict.holder.claim}`;
      if (evicted.has(key) || !(await isFree(fleet, conflict, call))) throw inUse(conflict);
      evicted.add(key);
    }
  }
}

async function takeForFleet(
  fleet: Fleet,
  holder: LeaseHolder,
  { leases }: Found,
  how: Preparing,
): Promise<LeaseConflict[]> {
  const { joins = false, beside } = how;
  // A file that no other host can reach, and that was made just now or that the domain holds already, nobody on another host
  // can want: its host's own book has it.
  const local = beside ? leases.filter(({ made, held, fleet: reachable }) => (made || held) && !reachable) : [];
  if (local.length > 0) beside?.add(fleet.leases.take(holder, local, joins), fleet);
  try {
    return await fleet.leases.take(
      holder,
      leases.filter((lease) => !local.includes(lease)),
      joins,
    );
  } catch (error) {
    // Nobody else can reach an image of this machine's: its own book is enough.
    if (isVirtError(error, 'RPC') && !leases.some(({ fleet: reachable }) => reachable)) return [];
    if (await isSentAlready(fleet, holder, how)) return [];
    throw error;
  }
}

/**
 * What was taken is not sent: it is let go. But another copy of this service may be at the same command, and have sent what it
 * took under the same claim: the driver is asked first, and never begins it then.
 * @returns whether it has begun it: nothing is let go
 */
async function isSentAlready(fleet: Fleet, holder: LeaseHolder, { joins }: Preparing): Promise<boolean> {
  if (joins) {
    await release(fleet, holder, true);
    return false;
  }
  try {
    const look = await revoke(fleet, holder);
    if (look.uses.some(({ claim }) => claim === holder.claim)) return true;
    await letGoUnused(fleet, holder, [holder.claim], look, { undone: true });
    return false;
  } catch (error) {
    doubted(fleet, holder);
    throw error;
  }
}

/** A command that comes again finds its own claim in use: by what it has brought about the first time. */
async function letGo(fleet: Fleet, holder: LeaseHolder, uses: Look['uses'], undone = false): Promise<void> {
  if (!uses.some(({ claim }) => claim === holder.claim)) await release(fleet, holder, undone);
}

/** Leases that are written for the fleet while the command is being done. What fails is written when the domain settles. */
class Beside {
  private work: Promise<unknown> = Promise.resolve();

  add(taking: Promise<LeaseConflict[]>, { log }: Fleet): void {
    const told = taking.then(
      (met) => met.length > 0 && log.warn({ met }, 'an image of this host alone is held by somebody'),
      (error: unknown) => log.debug({ reason: VirtError.from(error).message }, 'the fleet hears of an image later'),
    );
    this.work = Promise.all([this.work, told]);
  }

  async done(): Promise<void> {
    await this.work;
  }
}

function inUse({ lease: { path }, holder }: LeaseConflict): VirtError {
  return new VirtError('IMAGE_IN_USE', { path, users: [`domain '${holder.name}' on host '${holder.host}'`] });
}

/** What the driver kept for a start by itself: the start that has just been done goes without it. */
async function releaseKept(fleet: Fleet, holder: LeaseHolder, { active, uses }: Look): Promise<void> {
  const kept = active ? [] : uses.filter(({ claim, target }) => target !== undefined && claim !== holder.claim);
  for (const claim of new Set(kept.map(({ claim: one }) => one))) await release(fleet, { ...holder, claim });
}

/**
 * What was leased for a command is not used. What cannot be let go now is when the domain's driver tells of it.
 * @param undone the command came to nothing: so are the files that were made for it
 * @returns whether they have gone
 */
export async function release(
  fleet: Fleet,
  { domain, host, claim }: Pick<LeaseHolder, 'domain' | 'host' | 'claim'>,
  undone = false,
): Promise<boolean> {
  try {
    const at = { host, driver: 'storage' };
    const request = { claims: [claim], undone };
    const { released } = await callDriver(fleet.bus, at, storageRelease, request, { domain });
    await fleet.leases.drop({ domain, host }, released);
    return true;
  } catch (err) {
    fleet.log.warn({ err, domain }, 'leases of a command that came to nothing stay for now');
    return false;
  }
}

/** Nobody waits for this. */
function doubted(fleet: Fleet, holder: LeaseHolder): void {
  const { claim, domain } = holder;
  const look = (): Promise<Look> => revoke(fleet, holder);
  settleDoubt({ claim, look, letGo: (said) => letGoUnused(fleet, holder, [claim], said) }).catch((err: unknown) => {
    fleet.log.warn({ err, domain }, 'leases of a command whose answer was lost stay for now');
  });
}

/** The driver is never to begin the command; what it says of the domain. */
function revoke(fleet: Fleet, { claim, domain, ...at }: LeaseHolder): Promise<Look> {
  return callDriver(fleet.bus, at, driverStorage, { revoke: [claim] }, { domain });
}

/**
 * Errors of a driver that has not begun, or was not there. What it refuses because its domain has changed another copy may have
 * prepared under the same claim since: that is asked.
 */
const beforeItBegan = ['EPOCH_STALE', 'HOST_OFFLINE', 'DOMAIN_BUSY'] as const;

/**
 * Of a command that plans images only these tell that nothing has happened: the last of what it does, a start, may be refused
 * when the domain's documents name new images already.
 */
const beforePlanned: ReadonlySet<ErrorCode> = new Set<ErrorCode>(beforeItBegan);

/** Errors of a driver that has not opened anything. */
const beforeAnything: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...beforeItBegan,
  ...(['DOMAIN_NOT_FOUND', 'OPERATION_INVALID', 'CONFIG_UNSUPPORTED'] as const),
  ...(['INVALID_ARG', 'XML_ERROR', 'OPERATION_UNSUPPORTED'] as const),
]);

/**
 * A command that has failed lets its leases go. Not so what the guest has all the same: a disk that it does not give back, an
 * image that one of its disks has gone over to before another one failed. Whether that is so is the driver's to say.
 * @param before errors of a driver that has opened nothing
 */
async function afterFailure(
  fleet: Fleet,
  holder: LeaseHolder,
  uses: Look['uses'],
  error: unknown,
  before: ReadonlySet<ErrorCode>,
): Promise<void> {
  if (!isCertain(error)) return doubted(fleet, holder);
  if (isVirtError(error) && before.has(error.code)) return letGo(fleet, holder, uses, true);
  if (uses.some(({ claim }) => claim === holder.claim)) return;
  try {
    const look = await revoke(fleet, holder);
    if (look.uses.some(({ claim }) => claim === holder.claim)) return doubted(fleet, holder);
    await letGoUnused(fleet, holder, [holder.claim], look, { undone: true });
  } catch (err) {
    fleet.log.debug({ err, domain: holder.domain }, 'a driver that refused a command does not say what it uses');
    doubted(fleet, holder);
  }
}

/** The host said no, or was not there: nothing was done but what it tells. */
function isCertain(error: unknown): boolean {
  return isVirtError(error) && error.code !== 'OPERATION_TIMEOUT' && error.code !== 'RPC';
}
