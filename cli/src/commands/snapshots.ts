/** Looking at the snapshots of domains: virsh's words. */
import type { SnapshotSummary } from '@virtbus/shared';
import { editText } from '../editor';
import { fail } from '../failure';
import type { Output } from '../output';
import { printSnapshots } from '../print/snapshots';
import { fields } from '../print/table';
import { printTree } from '../print/tree';
import type { Session } from '../session';
import { command, domain, example, flag, optional, UsageError, value } from '../spec';
import { name } from './snapshot-making';

export const snapshotList = command({
  name: 'snapshot-list',
  group: 'snapshot',
  summary: 'List the snapshots of a domain',
  args: { domain },
  options: {
    parent: flag('with the parent of each'),
    details: flag('with where each is kept and how many follow on it'),
    roots: flag('only those without a parent'),
    leaves: flag('only those without children'),
    noLeaves: flag('only those with children'),
    internal: flag('only those within the images'),
    external: flag('only those below overlays'),
    active: flag('only those of a guest that ran'),
    inactive: flag('only those of a domain that was off'),
    diskOnly: flag('only those of disks alone'),
    tree: flag('as a tree'),
    from: value('NAME', 'only its children'),
    descendants: flag('with --from: all below it'),
    name: flag('only the names'),
  },
  examples: [
    example('snapshot-list web1', 'when each was taken, and of what state'),
    example('snapshot-list web1 --tree', 'which one follows on which'),
  ],
  async run({ args, options, session, out }) {
    const { parent, details, roots, leaves, noLeaves, tree, from, descendants } = options;
    const location = oneOf(options, 'internal', 'external');
    const taken = oneOf(options, 'active', 'inactive', 'diskOnly');
    if (leaves && noLeaves) throw new UsageError('--leaves does not go with --no-leaves');
    if (tree && (parent || roots || options.name)) {
      throw new UsageError('--tree does not go with --parent, --roots or --name');
    }
    const request = {
      ...(from !== undefined && { from }),
      ...((leaves || noLeaves) && { leaves }),
      ...(location && { location }),
      ...(taken && { taken: taken === 'diskOnly' ? ('disk-only' as const) : taken }),
      descendants: descendants || tree,
      roots,
    };
    const { snapshots } = await session.call('listSnapshots', request, args.domain);
    out.show(snapshots, () => {
      if (tree) return printTree(snapshots);
      if (options.name) return snapshots.map((one) => `${one.name}\n`).join('');
      return printSnapshots(snapshots, { parents: parent, details }, out.paint);
    });
  },
});

/** The one of these flags that was given. */
function oneOf<const K extends string>(options: { [P in K]: boolean }, ...keys: K[]): K | undefined {
  const given = keys.filter((key) => options[key]);
  if (given.length < 2) return given[0];
  const words = given.map((key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  throw new UsageError(`${words[0]!} does not go with ${words[1]!}`);
}

export const snapshotInfo = command({
  name: 'snapshot-info',
  group: 'snapshot',
  summary: 'Show a snapshot and its place among the others',
  args: { domain, snapshot: optional('name of the snapshot; the current one when left out') },
  options: {},
  examples: [example('snapshot-info web1 before-upgrade', 'its state, its parent, how many follow')],
  async run({ args, session, out }) {
    const { snapshot } = await session.call('getSnapshot', wanted(args.snapshot), args.domain);
    const below = { from: snapshot.name, descendants: true };
    const { snapshots: descendants } = await session.call('listSnapshots', below, args.domain);
    out.show({ ...snapshot, descendants: descendants.map((one) => one.name) }, () =>
      fields([
        ['Name', snapshot.name],
        ['Domain', args.domain],
        ['Current', snapshot.current ? 'yes' : 'no'],
        ['State', snapshot.state],
        ['Location', snapshot.location],
        ['Parent', snapshot.parent ?? '-'],
        ['Children', snapshot.children.length],
        ['Descendants', descendants.length],
        ['Metadata', 'yes'],
      ]),
    );
  },
});

const wanted = (name: string | undefined): { name?: string } => (name === undefined ? {} : { name });

export const snapshotDumpxml = command({
  name: 'snapshot-dumpxml',
  group: 'snapshot',
  summary: "Print a snapshot's document",
  args: { domain, name },
  options: { securityInfo: flag('with passwords (operators only): fit for snapshot-create --redefine') },
  examples: [example('snapshot-dumpxml web1 before-upgrade --security-info > s.xml', 'to be defined again')],
  async run({ args, options, session, out }) {
    const answer = await documentOf(session, args.domain, args.name, options.securityInfo);
    out.show(answer, () => answer.xml);
  },
});

const documentOf = (session: Session, of: string, name: string, secrets: boolean): Promise<{ xml: string }> =>
  session.call(secrets ? 'getSnapshotXmlWithSecrets' : 'getSnapshotXml', { name }, of);

export const snapshotCurrent = command({
  name: 'snapshot-current',
  group: 'snapshot',
  summary: 'Show the current snapshot, or make another one current',
  args: { domain, snapshot: optional('becomes the current one; nothing else changes') },
  options: { name: flag('its name only'), securityInfo: flag('with passwords (operators only)') },
  examples: [
    example('snapshot-current web1 --name', 'what the present descends from'),
    example('snapshot-current web1 base', 'as if it descended from that one'),
  ],
  async run({ args, options, session, out }) {
    if (args.snapshot !== undefined) return makeCurrent(session, out, args.domain, args.snapshot);
    const { snapshot } = await session.call('getSnapshot', {}, args.domain);
    if (options.name) return out.show({ name: snapshot.name }, () => `${snapshot.name}\n`);
    const answer = await documentOf(session, args.domain, snapshot.name, options.securityInfo);
    out.show(answer, () => answer.xml);
  },
});

async function makeCurrent(session: Session, out: Output, of: string, name: string): Promise<void> {
  const { xml } = await documentOf(session, of, name, true);
  const answer = await session.call('createSnapshot', { xml, redefine: true, current: true }, of);
  out.show(answer, () => `Snapshot ${name} set as current`);
}

export const snapshotParent = command({
  name: 'snapshot-parent',
  group: 'snapshot',
  summary: 'Print the snapshot that one follows on',
  args: { domain, snapshot: optional('name of the snapshot; the current one when left out') },
  options: {},
  examples: [example('snapshot-parent web1 after', 'before')],
  async run({ args, session, out }) {
    const { snapshot } = await session.call('getSnapshot', wanted(args.snapshot), args.domain);
    const { parent } = snapshot;
    if (parent === undefined) throw fail('OPERATION_FAILED', { detail: `snapshot '${snapshot.name}' has no parent` });
    out.show({ parent }, () => `${parent}\n`);
  },
});

export const snapshotEdit = command({
  name: 'snapshot-edit',
  group: 'snapshot',
  summary: "Change a snapshot's description in $VISUAL or $EDITOR",
  args: { domain, name },
  options: { current: flag('and make it the current one') },
  examples: [example('snapshot-edit web1 before-upgrade', 'in your editor')],
  async run({ args, options, session, out }) {
    const { xml } = await documentOf(session, args.domain, args.name, true);
    const apply = (edited: string): Promise<{ snapshot: SnapshotSummary }> =>
      session.call('createSnapshot', { xml: edited, redefine: true, current: options.current }, args.domain);
    const answer = await editText(xml, `${args.name}.xml`, apply, (text) => out.note(text));
    if (answer === undefined) {
      out.show({ changed: false }, () => `Snapshot ${args.name} XML configuration not changed.`);
    } else {
      out.show({ changed: true, ...answer }, () => `Snapshot ${answer.snapshot.name} edited.`);
    }
  },
});
