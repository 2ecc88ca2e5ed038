/** Backups of running guests. The command is answered when the job has begun; the domain's job tells the rest. */
import { formatBackup } from '@virtbus/domain-xml/backup';
import { beginBackup, getBackupXml, VirtError } from '@virtbus/shared';
import { backupNeeds, requestedBackup, placesOf } from '../backup/request';
import { backupRuns, noBackup } from '../backup/running';
import { withDescription } from '../checkpoints/making';
import { facet } from '../driver';
import { chainsOf, checkNamed, heldBy, hold } from '../images';
import { runs } from './block-jobs';
import { checkNeeds, guestOf, look, planned, turn, type Context } from './op';

export const begin = planned(
  beginBackup,
  'active',
  {
    plan: async (request, context) => {
      const { actor, call } = context;
      const ask = requestedBackup(context, request);
      const facility = facilityOf(context);
      await facility.check(guestOf(actor), ask, call.signal);
      return backupNeeds(actor.document, ask);
    },
    run: async (request, context) => {
      const { host, actor, call } = context;
      facilityOf(context); // Nobody waits for a backup that may take hours.
      // The job outlives the command, so the command takes it by itself.
      const slot = await actor.jobs.async('backup', beginBackup.operation, turn(call));
      try {
        checkNeeds(actor, 'active');
        const ask = requestedBackup(context, request);
        await start(context, ask);
        backupRuns(host, actor, slot, { command: call.id, began: Date.now() });
      } catch (error) {
        slot[Symbol.dispose]();
        throw error;
      }
      return { domain: actor.summary() };
    },
  },
  'none',
);

async function start(context: Context, ask: ReturnType<typeof requestedBackup>): Promise<void> {
  const { actor, call, prepared } = context;
  const facility = facilityOf(context);
  const guest = guestOf(actor);
  const disks = heldBy(prepared);
  checkNamed(disks, placesOf(ask));
  const letGo = hold(actor, disks);
  const start = () => facility.begin(guest, { ...ask, command: call.id, images: chainsOf(disks) }, call.signal);
  try {
    await (ask.checkpoint ? withDescription(context, ask.checkpoint, start) : start());
  } catch (error) {
    if (!(await runs(context))) letGo();
    throw error;
  }
}

function facilityOf({ host, actor }: Context) {
  const facility = facet(host.implementation, 'backup');
  if (actor.guest && facility.running(actor.guest))
    throw new VirtError('OPERATION_INVALID', { detail: 'another backup job is already running' });
  return facility;
}

export const dumpxml = look(getBackupXml, 'any', async (_request, { host, actor }) => {
  const running = actor.guest && host.implementation.facets.backup?.running(actor.guest);
  if (!running) throw noBackup();
  return { xml: formatBackup(running.backup) };
});
