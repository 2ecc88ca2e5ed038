/** Jobs on the images of a running guest's disks. A command is answered when its job has begun. */
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  listBlockJobs,
  pullBlocks,
  setBlockJobSpeed,
  VirtError,
  type BlockJob,
  type Request,
} from '@virtbus/shared';
import { facet, type BlockJobStart, type Facets } from '../driver';
import { chainsOf, heldBy, hold } from '../images';
import { change, guestOf, look, planned, type Context } from './op';

type BlockJobs = NonNullable<Facets['blockJobs']>;

const jobsOf = ({ host }: Context): BlockJobs => facet(host.implementation, 'blockJobs');

/** What was prepared is held from before the job begins: a crash in between lets nothing of it go. */
async function begin(context: Context, start: (how: BlockJobStart) => Promise<BlockJob>) {
  const { actor, call, prepared } = context;
  const disks = heldBy(prepared);
  const letGo = hold(actor, disks);
  try {
    const job = await start({ command: call.id, signal: call.signal, images: chainsOf(disks) });
    return { domain: actor.summary(), job };
  } catch (error) {
    if (!(await runs(context))) letGo();
    throw error;
  }
}

/** Does a job of the command run, though its beginning has failed? Also where nobody says so. */
export async function runs(context: Context): Promise<boolean> {
  const { actor, call } = context;
  if (!actor.guest) return false;
  try {
    const jobs = await jobsOf(context).list(actor.guest, undefined, AbortSignal.timeout(listMs));
    return jobs.some(({ command }) => command === call.id);
  } catch {
    return true;
  }
}

/** How long it may take to find out what became of a job, milliseconds. */
const listMs = 5_000;

export const pull = change(pullBlocks, 'active', (ask, context) =>
  begin(context, (how) => jobsOf(context).pull(guestOf(context.actor), ask, how)),
);

export const commit = planned(commitBlocks, 'active', {
  plan: (ask, context) => jobsOf(context).commitNeeds(guestOf(context.actor), ask),
  run: (ask, context) => begin(context, (how) => jobsOf(context).commit(guestOf(context.actor), ask, how)),
});

export const copy = planned(copyBlocks, 'active', {
  plan: (ask, context) => {
    const jobs = jobsOf(context);
    checkTransient(ask, context);
    return jobs.copyNeeds(guestOf(context.actor), ask);
  },
  run: (ask, context) => {
    const jobs = jobsOf(context);
    checkTransient(ask, context);
    return begin(context, (how) => jobs.copy(guestOf(context.actor), ask, how));
  },
});

/** The next run of a persistent domain would begin from where nobody has copied: that has to be agreed to. */
function checkTransient({ transientJob }: Request<typeof copyBlocks>, { actor }: Context): void {
  if (!actor.record.persistent || transientJob) return;
  throw new VirtError('OPERATION_INVALID', {
    detail:
      'domain is not transient; the copy would be forgotten with this run: ask for a transient job (--transient-job)',
  });
}

export const list = look(listBlockJobs, 'active', async ({ disk }, context) => ({
  jobs: await jobsOf(context).list(guestOf(context.actor), disk, context.call.signal),
}));

export const abort = change(abortBlockJob, 'active', async (ask, context) => {
  const { id: command, signal } = context.call;
  await jobsOf(context).abort(guestOf(context.actor), ask, { command, signal });
  return { domain: context.actor.summary() };
});

export const setSpeed = change(setBlockJobSpeed, 'active', async ({ disk, bandwidth }, context) => {
  await jobsOf(context).setSpeed(guestOf(context.actor), disk, bandwidth, context.call.signal);
  return { domain: context.actor.summary() };
});
