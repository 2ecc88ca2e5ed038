/** The live document of a container: the definition as this one run has it. */
import { assignAliases, type Domain } from '@virtbus/domain-xml';
import type { SubIds } from './machine';
import type { Place } from './place';

/** Names like these are ours to give, and are given anew with each start; others are the definition's. */
const givenName = /^veth[0-9a-f]{8}\d$/;

/** A copy to run: numbered, its devices named, its ids mapped where it says nothing else and the host can. */
export function makeLive(definition: Domain, id: number, place: Place, subIds: SubIds | undefined): Domain {
  const live = assignAliases(definition);
  live.id = id;
  live.devices.interfaces.forEach((card, index) => {
    if (card.type === 'direct') return;
    const asked = card.target?.dev;
    if (asked === undefined || givenName.test(asked)) {
      card.target = { ...card.target, dev: `veth${place.name.slice(-8)}${index}` };
    }
  });
  mapIds(live, subIds);
  return live;
}

/** In place. What is in an image keeps its owners, so a container on one is mapped only where the document says so. */
export function mapIds(live: Domain, subIds: SubIds | undefined): void {
  const root = live.devices.filesystems.find(({ target }) => target?.dir === '/');
  if (live.idmap || !subIds || root?.type === 'file' || root?.type === 'block') return;
  const range = { start: 0, target: subIds.start, count: subIds.count };
  live.idmap = { uids: [range], gids: [{ ...range }] };
}
