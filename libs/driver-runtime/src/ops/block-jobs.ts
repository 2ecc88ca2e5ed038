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
} from '@virtbus/shared';
import { facet, type BlockJobStart, type Facets } from '../driver';
import { chainsOf, heldBy, hold } from '../images';
import { change, guestOf, look, type Context } from './op';

type BlockJobs = NonNullable<Facets['blockJobs']>;

const jobsOf = ({ host }: Context): BlockJobs => facet(host.implementation, 'blockJobs');

/** What was prepared is held from before the job begins: a crash in between lets nothing of it go. */
async function begin(context: Context, start: (how: BlockJobStart) => Promise<BlockJob>) {
  const { actor, call, prepared } = context;
  const disks = heldBy(prepared);
  hold(actor, disks);
  try {
    const job = await start({ command: call.id, signal: call.signal, images: chainsOf(disks) });
    return { domain: actor.summary(), job };
  } catch (error) {
    for (const name of Object.keys(disks)) delete actor.record.disks?.[name];
    actor.persist();
    throw error;
  }
}

export const pull = change(pullBlocks, 'active', (ask, context) =>
  begin(context, (how) => jobsOf(context).pull(guestOf(context.actor), ask, how)),
);

export const commit = change(commitBlocks, 'active', (ask, context) =>
  begin(context, (how) => jobsOf(context).commit(guestOf(context.actor), ask, how)),
);

export const copy = change(copyBlocks, 'active', (ask, context) => {
  const jobs = jobsOf(context);
  if (context.actor.record.persistent && !ask.transientJob) {
    throw new VirtError('OPERATION_INVALID', { detail: 'domain is not transient' });
  }
  return begin(context, (how) => jobs.copy(guestOf(context.actor), ask, how));
});

export const list = look(listBlockJobs, 'active', async ({ disk }, context) => ({
  jobs: await jobsOf(context).list(guestOf(context.actor), disk, context.call.signal),
}));

export const abort = change(abortBlockJob, 'active', async (ask, context) => {
  await jobsOf(context).abort(guestOf(context.actor), ask, context.call.signal);
  return { domain: context.actor.summary() };
});

export const setSpeed = change(setBlockJobSpeed, 'active', async ({ disk, bandwidth }, context) => {
  await jobsOf(context).setSpeed(guestOf(context.actor), disk, bandwidth, context.call.signal);
  return { domain: context.actor.summary() };
});
