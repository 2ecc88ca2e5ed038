/** Backups of running guests: virsh's words. How far one is domjobinfo tells, and domjobabort ends it. */
import { readText } from '../definition';
import { command, domain, example, flag, optional } from '../spec';

export const backupBegin = command({
  name: 'backup-begin',
  group: 'backup',
  summary: "Begin to back up a running guest's disks, whole or since a checkpoint",
  about:
    'The command ends when the backup has begun: domjobinfo tells how far it is, domjobabort ends it. A pull is read over NBD and ends by domjobabort alone.',
  args: {
    domain,
    backupxml: optional("libvirt's <domainbackup>; a full push of all disks when left out", 'file'),
    checkpointxml: optional('a <domaincheckpoint> to make at the same moment', 'file'),
  },
  options: {
    reuseExternal: flag('the files that are written to are there already, as they have to be'),
  },
  gives: 'beginBackup',
  queue: true,
  examples: [
    example('backup-begin web1', 'each disk into a file beside its image'),
    example('backup-begin web1 backup.xml checkpoint.xml', 'as the file says, with a checkpoint for the next one'),
  ],
  async run({ args, options, session }) {
    const { backupxml, checkpointxml } = args;
    const request = {
      ...(backupxml !== undefined && { xml: await readText(backupxml) }),
      ...(checkpointxml !== undefined && { checkpoint: await readText(checkpointxml) }),
      reuseExternal: options.reuseExternal,
    };
    await session.give('beginBackup', request, args.domain, () => 'Backup started');
  },
});

export const backupDumpxml = command({
  name: 'backup-dumpxml',
  group: 'backup',
  summary: 'Print the document of the backup that runs',
  args: { domain },
  options: {},
  examples: [example('backup-dumpxml web1', 'where each disk is written to, or offered')],
  async run({ args, session, out }) {
    const answer = await session.call('getBackupXml', {}, args.domain);
    out.show(answer, () => answer.xml);
  },
});
