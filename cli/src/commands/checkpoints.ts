/** Checkpoints of domains: virsh's words. */
import type { CheckpointSummary } from '@virtbus/shared';
import { describedInWords, givenDescription } from '../described';
import { element, type Element } from '../device-xml';
import { fail } from '../failure';
import { printCheckpoints } from '../print/checkpoints';
import { fields } from '../print/table';
import { printTree } from '../print/tree';
import { argument, command, domain, example, flag, optional, repeated, UsageError, value } from '../spec';

const name = argument('name of the checkpoint');
const quiesce = flag('the guest agent freezes the file systems meanwhile');

const created = ({ checkpoint }: { checkpoint: CheckpointSummary }): string =>
  `Domain checkpoint ${checkpoint.name} created`;

export const checkpointCreate = command({
  name: 'checkpoint-create',
  group: 'backup',
  summary: 'Record from now on what a guest writes, for a backup of just that',
  args: {
    domain,
    xmlfile: optional("libvirt's <domaincheckpoint>; all disks that can be written when left out", 'file'),
  },
  options: {
    redefine: flag('make no bitmaps: keep a description again, as checkpoint-dumpxml printed it'),
    redefineValidate: flag('with --redefine: refuse it when its bitmaps are not whole'),
    quiesce,
  },
  gives: 'createCheckpoint',
  queue: true,
  examples: [
    example('checkpoint-create web1', 'named after the time'),
    example('checkpoint-create web1 c.xml', 'as it says'),
  ],
  async run({ args, options, session }) {
    const { redefine, redefineValidate: validate, quiesce: frozen } = options;
    const xml = await givenDescription(args.xmlfile, redefine);
    if (validate && !redefine) throw new UsageError('--redefine-validate goes only with --redefine');
    await session.give('createCheckpoint', { ...xml, redefine, validate, quiesce: frozen }, args.domain, created);
  },
});

export const checkpointCreateAs = command({
  name: 'checkpoint-create-as',
  group: 'backup',
  summary: 'The same, from words on the command line',
  args: { domain, name: optional('its name; the time when left out'), description: optional('what it is for') },
  options: {
    diskspec: repeated('SPEC', 'DISK[,checkpoint=no|bitmap][,bitmap=NAME]; may be repeated'),
    printXml: flag('print the document and make nothing'),
    quiesce,
  },
  gives: 'createCheckpoint',
  queue: true,
  examples: [
    example('checkpoint-create-as web1 monday', 'of all its disks'),
    example('checkpoint-create-as web1 monday --diskspec vda', 'of one'),
  ],
  async run({ args, options, session, out }) {
    const { name: named, description } = args;
    const disks = options.diskspec.map(diskOf);
    const xml = describedInWords('domaincheckpoint', { name: named, description, disks });
    if (options.printXml) return out.show({ xml }, () => xml);
    await session.give('createCheckpoint', { xml, quiesce: options.quiesce }, args.domain, created);
  },
});

function diskOf(spec: string): Element {
  const [disk = '', ...settings] = spec.split(',');
  const attributes: Record<string, string> = { name: disk };
  for (const setting of settings) {
    const [, key, word] = /^(checkpoint|bitmap)=(.+)$/.exec(setting) ?? [];
    if (disk === '' || !key || !word)
      throw new UsageError(`--diskspec: '${spec}' is not DISK[,checkpoint=no|bitmap][,bitmap=NAME]`);
    attributes[key] = word;
  }
  return element('disk', attributes);
}

export const checkpointList = command({
  name: 'checkpoint-list',
  group: 'backup',
  summary: 'List the checkpoints of a domain',
  args: { domain },
  options: {
    parent: flag('with the parent of each'),
    roots: flag('only those without a parent'),
    leaves: flag('only those without children'),
    noLeaves: flag('only those with children'),
    tree: flag('as a tree'),
    from: value('NAME', 'only its children'),
    descendants: flag('with --from: all below it'),
    nameOnly: flag('only the names'),
  },
  examples: [example('checkpoint-list web1 --tree', 'which one follows on which')],
  async run({ args, options, session, out }) {
    const { parent, roots, leaves, noLeaves, tree, from, descendants, nameOnly } = options;
    if (leaves && noLeaves) throw new UsageError('--leaves does not go with --no-leaves');
    if (tree && (parent || roots || nameOnly))
      throw new UsageError('--tree does not go with --parent, --roots or --name-only');
    const request = {
      ...(from !== undefined && { from }),
      ...((leaves || noLeaves) && { leaves }),
      descendants: descendants || tree,
      roots,
    };
    const { checkpoints } = await session.call('listCheckpoints', request, args.domain);
    out.show(checkpoints, () => {
      if (tree) return printTree(checkpoints);
      if (nameOnly) return checkpoints.map((one) => `${one.name}\n`).join('');
      return printCheckpoints(checkpoints, parent, out.paint);
    });
  },
});

export const checkpointDumpxml = command({
  name: 'checkpoint-dumpxml',
  group: 'backup',
  summary: "Print a checkpoint's document",
  args: { domain, name },
  options: {
    noDomain: flag('without the domain as it ran then'),
    size: flag('with the bytes that were written since, by disk'),
  },
  examples: [example('checkpoint-dumpxml web1 monday --no-domain --size', 'how much a backup since then would copy')],
  async run({ args, options, session, out }) {
    const request = { name: args.name, withoutDomain: options.noDomain, sizes: options.size };
    const answer = await session.call('getCheckpointXml', request, args.domain);
    out.show(answer, () => answer.xml);
  },
});

export const checkpointInfo = command({
  name: 'checkpoint-info',
  group: 'backup',
  summary: 'Show a checkpoint and its place among the others',
  args: { domain, name },
  options: {},
  examples: [example('checkpoint-info web1 monday', 'its parent, how many follow')],
  async run({ args, session, out }) {
    const { checkpoint } = await session.call('getCheckpoint', { name: args.name }, args.domain);
    const below = { from: args.name, descendants: true };
    const { checkpoints: descendants } = await session.call('listCheckpoints', below, args.domain);
    out.show({ ...checkpoint, descendants: descendants.map((one) => one.name) }, () =>
      fields([
        ['Name', checkpoint.name],
        ['Domain', args.domain],
        ['Current', checkpoint.current ? 'yes' : 'no'],
        ['Parent', checkpoint.parent ?? '-'],
        ['Children', checkpoint.children.length],
        ['Descendants', descendants.length],
      ]),
    );
  },
});

export const checkpointParent = command({
  name: 'checkpoint-parent',
  group: 'backup',
  summary: 'Print the checkpoint that one follows on',
  args: { domain, name },
  options: {},
  examples: [example('checkpoint-parent web1 tuesday', 'monday')],
  async run({ args, session, out }) {
    const { checkpoint } = await session.call('getCheckpoint', { name: args.name }, args.domain);
    const { parent } = checkpoint;
    if (parent === undefined) throw fail('OPERATION_FAILED', { detail: `checkpoint '${args.name}' has no parent` });
    out.show({ parent }, () => `${parent}\n`);
  },
});

export const checkpointDelete = command({
  name: 'checkpoint-delete',
  group: 'backup',
  summary: 'Delete a checkpoint and its bitmaps',
  args: { domain, name },
  options: {
    children: flag('with all that descend from it'),
    childrenOnly: flag('only those that descend from it'),
    metadata: flag('only the description; bitmaps stay as they are'),
  },
  gives: 'deleteCheckpoint',
  queue: true,
  examples: [example('checkpoint-delete web1 monday', 'backups begin from the others as before')],
  async run({ args, options, session }) {
    const { children, childrenOnly, metadata } = options;
    if (children && childrenOnly) throw new UsageError('--children does not go with --children-only');
    const what = children ? `${args.name} and its children` : childrenOnly ? `${args.name}'s children` : args.name;
    await session.give('deleteCheckpoint', { name: args.name, children, childrenOnly, metadata }, args.domain, () => {
      return `Domain checkpoint ${what} deleted`;
    });
  },
});
