/** The live document of a container: the definition as this one run has it. */
import { assignAliases, copyModel, lxcCardNames, type Domain } from '@virtbus/domain-xml';
import type { SubIds } from './machine';
import type { Place } from './place';

/** Names like these are ours to give, and are given anew with each start; others are the definition's. */
const givenName = /^veth[0-9a-f]{8}\d{1,3}$/;

/** What the ends of its cards on the host are called, before their number. */
export const endPrefix = ({ name }: Place): string => `veth${name.slice(-8)}`;

/** A copy to run: numbered, its devices named, its ids mapped where it says nothing else and the host can. */
export function makeLive(definition: Domain, id: number, place: Place, subIds: SubIds | undefined): Domain {
  const live = assignAliases(definition);
  live.id = id;
  live.devices.interfaces.forEach((card, index) => {
    if (card.type === 'direct') return;
    const asked = card.target?.dev;
    if (asked === undefined || givenName.test(asked)) {
      card.target = { ...card.target, dev: `${endPrefix(place)}${index}` };
    }
  });
  nameInside(live);
  mapIds(live, subIds);
  return live;
}

/** The live document of an earlier life of ours: cards that it left unnamed have the names of their places. */
export function withNames(found: Domain): Domain {
  const live = copyModel(found);
  nameInside(live);
  return live;
}

/** In place: what its cards are called in the container. It is no matter of places any more once one of them leaves. */
function nameInside({ devices }: Domain): void {
  const names = lxcCardNames(devices);
  devices.interfaces.forEach((card, index) => (card.guest = { ...card.guest, dev: names[index]! }));
}

/** In place. */
export function mapIds(live: Domain, subIds: SubIds | undefined): void {
  if (live.idmap || !subIds) return;
  const range = { start: 0, target: subIds.start, count: subIds.count };
  live.idmap = { uids: [range], gids: [{ ...range }] };
}
