/** Looking at the snapshots of a domain. */
import { formatSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import {
  getSnapshot,
  getSnapshotXml,
  getSnapshotXmlWithSecrets,
  listSnapshots,
  VirtError,
  type Request,
} from '@virtbus/shared';
import type { Actor } from '../actor';
import { currentOf, snapshotsOf } from '../snapshots';
import { isExternal, stateOf, summaryOf } from '../snapshots/summary';
import { look } from './op';

export const list = look(listSnapshots, 'any', async (request, { actor }) => {
  const book = snapshotsOf(actor);
  const { from, descendants, roots } = request;
  if (from !== undefined) book.get(from);
  const among = from === undefined ? book.all : descendants ? book.descendantsOf(from) : book.childrenOf(from);
  const shown = among.filter((one) => (!roots || !book.parentOf(one)) && isWanted(request, one, actor));
  return { snapshots: shown.map((one) => summaryOf(book, one, currentOf(actor))) };
});

function isWanted({ leaves, location, taken }: Request<typeof listSnapshots>, one: Snapshot, actor: Actor): boolean {
  const leaf = snapshotsOf(actor).childrenOf(one.name).length === 0;
  const state = stateOf(one);
  const kind = state === 'shutoff' ? 'inactive' : state === 'disk-snapshot' ? 'disk-only' : 'active';
  return (
    (leaves === undefined || leaves === leaf) &&
    (location === undefined || (location === 'external') === isExternal(one)) &&
    (taken === undefined || taken === kind)
  );
}

export const info = look(getSnapshot, 'any', async ({ name }, { actor }) => {
  const book = snapshotsOf(actor);
  const wanted = name ?? currentOf(actor);
  const snapshot = wanted === undefined ? undefined : book.find(wanted);
  if (!snapshot) throw new VirtError('NO_DOMAIN_SNAPSHOT', { snapshot: name });
  return { snapshot: summaryOf(book, snapshot, currentOf(actor)) };
});

const documentOf = (actor: Actor, name: string, secrets: boolean): { xml: string } => ({
  xml: formatSnapshot(snapshotsOf(actor).get(name), { secrets, domainUuid: actor.uuid }),
});

export const dumpxml = look(getSnapshotXml, 'any', async ({ name }, { actor }) => documentOf(actor, name, false));

export const dumpxmlWithSecrets = look(getSnapshotXmlWithSecrets, 'any', async ({ name }, { actor }) =>
  documentOf(actor, name, true),
);
