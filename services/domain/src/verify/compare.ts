/**
 * Compares what is written down about the fleet with what its hosts say. Pure: it is given both, and tells where they
 * disagree. Of hosts that did not answer nothing is concluded: absence is not evidence.
 */
import { encodeToken, isActive, type Disagreement, type DomainSummary, type LeaseHolder } from '@virtbus/shared';
import { hostKey } from '../hosts';
import { hasLeft } from '../projection';
import type { DomainEntry, FleetLease, NameEntry } from '../registry/entries';
import type { Copy } from './copies';

/** What one host's book says that a domain holds. */
export type BookLease = Pick<LeaseHolder, 'domain' | 'host'> & { identity: string; path: string; fleet: boolean };

export interface Facts {
  now: number;
  entries: readonly DomainEntry[];
  /** By encoded name. */
  names: ReadonlyMap<string, NameEntry>;
  fleetLeases: readonly FleetLease[];
  /** What each copy of the service believes. */
  copies: readonly Copy[];
  /** By `hostKey`, of drivers that answered. */
  inventories: ReadonlyMap<string, readonly DomainSummary[]>;
  /** By host, of storage services that answered. */
  books: ReadonlyMap<string, readonly BookLease[]>;
}

export function disagreements(facts: Facts): Disagreement[] {
  return [...registered(facts), ...claimed(facts), ...believed(facts), ...leased(facts)];
}

function* registered({ now, entries, names, inventories }: Facts): Generator<Disagreement> {
  const byUuid = new Map(entries.map((entry) => [entry.uuid, entry]));
  for (const domain of [...inventories.values()].flat()) {
    const { uuid, name, host, driver, epoch } = domain;
    const at = { host, domain: uuid };
    const entry = byUuid.get(uuid);
    const its = `domain '${name}' (${uuid}) on ${host}`;
    if (hasLeft(domain)) continue;
    if (!entry) {
      yield { ...at, kind: 'unregistered', what: `${its} is not in the registry`, advice: tellAgain(host, driver) };
    } else if (entry.host !== host || entry.driver !== driver) {
      const what = `${its} lives on ${entry.host} by the registry, epoch ${entry.epoch} against ${epoch}`;
      yield {
        ...at,
        kind: 'elsewhere',
        what,
        advice: `see 'virtbus migrations'; a copy of a lower epoch never starts`,
      };
    } else if (entry.epoch !== epoch) {
      const what = `${its} is at epoch ${epoch}, in the registry at ${entry.epoch}`;
      yield { ...at, kind: 'epoch', what, advice: tellAgain(host, driver) };
    } else if (entry.name !== name || names.get(encodeToken(name))?.uuid !== uuid) {
      const what = `${its} does not hold its name in the registry`;
      yield { ...at, kind: 'name', what, advice: `virtbus rename ${uuid} to a name that is free` };
    }
  }
  for (const { uuid, name, host, driver, pending } of entries) {
    const inventory = inventories.get(hostKey({ host, driver }));
    if (!inventory || (pending && pending.until > now) || inventory.some((domain) => domain.uuid === uuid)) continue;
    const what = `domain '${name}' (${uuid}) lives on ${host} by the registry, and ${host} does not have it`;
    yield { kind: 'no-home', host, domain: uuid, what, advice: `virtbus undefine ${uuid}, or define it anew` };
  }
}

function* claimed({ now, entries, names }: Facts): Generator<Disagreement> {
  const there = new Set(entries.map(({ uuid }) => uuid));
  for (const [name, { uuid, until }] of names) {
    if (there.has(uuid) || until > now) continue;
    const what = `name '${name}' is claimed for ${uuid}, which does not exist`;
    yield {
      kind: 'name-claim',
      domain: uuid,
      what,
      advice: 'define a domain of that name: a claim of nobody gives way',
    };
  }
}

function* believed({ copies, inventories }: Facts): Generator<Disagreement> {
  const told = [...inventories.values()].flat().filter((domain) => !hasLeft(domain));
  for (const { name, beliefs } of copies) {
    const known = new Map(beliefs.map((belief) => [belief.uuid, belief]));
    for (const domain of told) {
      const its = known.get(domain.uuid);
      if (!its || (its.revision === domain.revision && its.state === domain.state)) continue;
      if (its.epoch > domain.epoch) continue; // Told as `elsewhere`.
      const { uuid, host, state, revision } = domain;
      const what = `domain '${domain.name}' is ${state} at revision ${revision} on ${host}; the copy of the domain service that is ${name} believes ${its.state} at ${its.revision}`;
      yield { kind: 'projection', host, domain: uuid, what, advice: 'restart that copy of the domain service' };
    }
  }
}

function* leased({ fleetLeases, inventories, books }: Facts): Generator<Disagreement> {
  const domains = new Map([...inventories.values()].flat().map((domain) => [`${domain.uuid} ${domain.host}`, domain]));
  const answered = new Set([...inventories.values()].flat().map(({ host }) => host));
  const inBooks = new Set([...books.values()].flat().map((lease) => keyOf(lease, lease)));
  const inFleet = new Set(fleetLeases.map(({ holder, identity }) => keyOf(holder, { identity })));
  for (const { holder, identity, path } of fleetLeases) {
    const { host, domain } = holder;
    if (!books.has(host) || inBooks.has(keyOf(holder, { identity }))) continue;
    const what = `${path} is leased to '${holder.name}' (${domain}) on ${host}, whose book does not tell of it`;
    yield {
      kind: 'lease-unknown',
      host,
      domain,
      what,
      advice: 'restart a copy of the domain service: it drops what no book tells of',
    };
  }
  for (const [host, book] of books) {
    for (const lease of book) {
      const { domain, path } = lease;
      if (lease.fleet && !inFleet.has(keyOf(lease, lease))) {
        const what = `${path}, held by ${domain} on ${host}, is not leased for the fleet`;
        yield {
          kind: 'lease-missing',
          host,
          domain,
          what,
          advice: 'restart a copy of the domain service: it takes the lease again',
        };
      }
      const held = domains.get(`${domain} ${host}`);
      if (!answered.has(host) || (held && (isActive(held.state) || held.autostart))) continue;
      const why = held ? 'is not active' : 'is not there';
      const what = `${path} on ${host} is held by ${domain}, which ${why}`;
      const advice = `virtbus lease-drop ${domain} --host ${host}`;
      yield { kind: 'lease-of-nobody', host, domain, what, advice };
    }
  }
}

const keyOf = ({ domain, host }: { domain: string; host: string }, { identity }: { identity: string }): string =>
  `${identity} ${domain} ${host}`;

const tellAgain = (host: string, driver: string): string =>
  `restart driver-${driver} on ${host}: its inventory is then taken in anew`;
