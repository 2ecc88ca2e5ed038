/** Taking snapshots of domains, going back to them, deleting them: virsh's words. */
import type { SnapshotSummary } from '@virtbus/shared';
import { describedInWords, givenDescription } from '../described';
import { element, type Element } from '../device-xml';
import { argument, command, domain, example, flag, optional, repeated, UsageError, value } from '../spec';
import { watchJob } from '../progress';

export const name = argument('name of the snapshot');

const how = {
  diskOnly: flag('external, of the disks alone'),
  quiesce: flag('the guest agent freezes the file systems meanwhile; with --disk-only'),
  atomic: flag('all disks or none: always so'),
  reuseExternal: flag('the overlay files are there already'),
  noMetadata: flag('keep no description'),
  live: flag('with an external memory file: the guest runs while its memory is written'),
  halt: flag('the domain is shut off afterwards'),
};
type How = { [K in keyof typeof how]: boolean };

function requestOf({ diskOnly, quiesce, atomic, reuseExternal, noMetadata, live, halt }: How) {
  if (quiesce && !diskOnly) throw new UsageError('--quiesce goes only with --disk-only');
  if (halt && live) throw new UsageError('--halt does not go with --live');
  return { diskOnly, quiesce, atomic, reuseExternal, noMetadata, live, halt };
}

const created = ({ snapshot }: { snapshot: SnapshotSummary }): string => `Domain snapshot ${snapshot.name} created`;

export const snapshotCreate = command({
  name: 'snapshot-create',
  group: 'snapshot',
  summary: 'Take a snapshot as a document describes it, or keep a description again',
  args: { domain, xmlfile: optional("libvirt's <domainsnapshot>; an internal one when left out", 'file') },
  options: {
    ...how,
    redefine: flag('take nothing: keep a description again, as snapshot-dumpxml printed it'),
    current: flag('with --redefine: it becomes the current one'),
    validate: flag('refuse elements and attributes that are not known'),
  },
  gives: 'createSnapshot',
  queue: true,
  examples: [
    example('snapshot-create web1', 'memory and disks, within the images'),
    example('snapshot-create web1 s.xml --redefine', 'known again after it was forgotten'),
  ],
  async run({ args, options, session, out }) {
    const { redefine, current, validate } = options;
    const xml = await givenDescription(args.xmlfile, redefine);
    if (current && !redefine) throw new UsageError('--current goes only with --redefine');
    const request = { ...xml, ...requestOf(options), redefine, current, validate };
    await watchJob(
      session,
      out,
      'Snapshot',
      args.domain,
      session.give('createSnapshot', request, args.domain, created),
    );
  },
});

export const snapshotCreateAs = command({
  name: 'snapshot-create-as',
  group: 'snapshot',
  summary: 'Take a snapshot, described on the command line',
  args: { domain, name: optional('its name; the time when left out'), description: optional('what it is for') },
  options: {
    ...how,
    memspec: value('SPEC', '[file=]NAME[,snapshot=no|internal|external]: where the memory goes'),
    diskspec: repeated(
      'SPEC',
      'DISK[,snapshot=no|internal|external][,driver=FORMAT][,stype=file|block][,file=NAME]; may be repeated',
    ),
    printXml: flag('print the document and take nothing'),
  },
  gives: 'createSnapshot',
  queue: true,
  examples: [
    example('snapshot-create-as web1 before-upgrade', 'memory and disks, within the images'),
    example('snapshot-create-as web1 now --disk-only --quiesce', 'overlays on all disks, file systems in order'),
    example('snapshot-create-as web1 all --memspec /srv/web1.mem', 'memory in a file, disks below overlays'),
  ],
  async run({ args, options, session, out }) {
    const { name: named, description } = args;
    const disks = options.diskspec.map(diskOf);
    const memory = options.memspec === undefined ? undefined : memoryOf(options.memspec);
    const xml = describedInWords('domainsnapshot', { name: named, description, disks, memory });
    if (options.printXml) return out.show({ xml }, () => xml);
    const request = { xml, ...requestOf(options) };
    await watchJob(
      session,
      out,
      'Snapshot',
      args.domain,
      session.give('createSnapshot', request, args.domain, created),
    );
  },
});

/** `NAME`, `file=NAME`, `snapshot=…`, in any order. */
function memoryOf(spec: string): Element {
  const attributes: Record<string, string> = {};
  for (const setting of spec.split(',')) {
    const [, key, word] = /^(file|snapshot)=(.+)$/.exec(setting) ?? [, 'file', setting];
    if (!key || !word) throw new UsageError(`--memspec: '${spec}' is not [file=]NAME[,snapshot=no|internal|external]`);
    attributes[key] = word;
  }
  if (attributes.file !== undefined) attributes.snapshot ??= 'external';
  return element('memory', attributes);
}

function diskOf(spec: string): Element {
  const [disk = '', ...settings] = spec.split(',');
  const given: Record<string, string> = {};
  for (const setting of settings) {
    const [, key, word] = /^(snapshot|driver|stype|file)=(.+)$/.exec(setting) ?? [];
    if (disk === '' || !key || !word) {
      throw new UsageError(
        `--diskspec: '${spec}' is not DISK[,snapshot=no|internal|external][,driver=FORMAT][,stype=file|block][,file=NAME]`,
      );
    }
    given[key] = word;
  }
  const { snapshot, driver, stype, file } = given;
  return element(
    'disk',
    { name: disk, ...(snapshot && { snapshot }), ...(stype && { type: stype }) },
    driver === undefined ? undefined : element('driver', { type: driver }),
    file === undefined ? undefined : element('source', stype === 'block' ? { dev: file } : { file }),
  );
}

export const snapshotRevert = command({
  name: 'snapshot-revert',
  group: 'snapshot',
  summary: 'Go back to a snapshot',
  about: 'What the disks held since the current snapshot, and no other snapshot keeps, is lost.',
  args: { domain, snapshot: optional('name of the snapshot') },
  options: {
    current: flag('to the current one'),
    running: flag('the guest runs afterwards, whatever it did then'),
    paused: flag('the guest is paused afterwards'),
    force: flag('also where a guest has to be ended for it'),
    resetNvram: flag("the firmware's variables begin anew"),
  },
  gives: 'revertSnapshot',
  queue: true,
  examples: [
    example('snapshot-revert web1 before-upgrade', 'as it was'),
    example('snapshot-revert web1 --current', 'the last one'),
  ],
  async run({ args, options, session, out }) {
    const { current, running, paused, force, resetNvram } = options;
    if (running && paused) throw new UsageError('--running does not go with --paused');
    if (current === (args.snapshot !== undefined)) throw new UsageError('name a snapshot, or say --current');
    const wanted = args.snapshot ?? (await session.call('getSnapshot', {}, args.domain)).snapshot.name;
    const request = { name: wanted, running, paused, force, resetNvram };
    const work = session.give('revertSnapshot', request, args.domain, () => `Domain snapshot ${wanted} reverted`);
    await watchJob(session, out, 'Revert', args.domain, work);
  },
});

export const snapshotDelete = command({
  name: 'snapshot-delete',
  group: 'snapshot',
  summary: 'Delete a snapshot; the domain stays as it is now',
  about: 'The overlay of an external one is merged into the image below it, also while the guest runs.',
  args: { domain, snapshot: optional('name of the snapshot') },
  options: {
    current: flag('the current one'),
    children: flag('with all that descend from it'),
    childrenOnly: flag('only those that descend from it'),
    metadata: flag('only the description; images stay as they are'),
  },
  gives: 'deleteSnapshot',
  queue: true,
  examples: [example('snapshot-delete web1 before-upgrade', 'merged, wherever in the chain it is')],
  async run({ args, options, session, out }) {
    const { current, children, childrenOnly, metadata } = options;
    if (children && childrenOnly) throw new UsageError('--children does not go with --children-only');
    if (current === (args.snapshot !== undefined)) throw new UsageError('name a snapshot, or say --current');
    const wanted = args.snapshot ?? (await session.call('getSnapshot', {}, args.domain)).snapshot.name;
    const what = children ? `${wanted} and its children` : childrenOnly ? `${wanted}'s children` : wanted;
    const request = { name: wanted, children, childrenOnly, metadata };
    const work = session.give('deleteSnapshot', request, args.domain, () => `Domain snapshot ${what} deleted`);
    await watchJob(session, out, 'Delete', args.domain, work);
  },
});
