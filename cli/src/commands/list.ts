/** `list`: the domains of the fleet. */
import { isolatedNames, printDomains } from '../print/domains';
import { command, eitherWay, example, flag, UsageError, value } from '../spec';
import type { DomainSummary, Request, listDomains, StateName } from '@virtbus/shared';

type Filter = Partial<Request<typeof listDomains>>;

const stateFlags = {
  stateRunning: ['running'],
  statePaused: ['paused'],
  stateShutoff: ['shutoff'],
  stateOther: ['nostate', 'blocked', 'shutdown', 'crashed', 'pmsuspended'],
} as const satisfies Record<string, readonly StateName[]>;

const options = {
  all: flag('inactive domains too'),
  inactive: flag('inactive domains only'),
  stateRunning: flag('in this state'),
  statePaused: flag('in this state'),
  stateShutoff: flag('in this state'),
  stateOther: flag('in any other state'),
  persistent: flag('with a definition'),
  transient: flag('without one'),
  autostart: eitherWay('that start with their host'),
  withManagedSave: flag('that have a managed save image'),
  withoutManagedSave: flag('that have none'),
  match: value('PATTERN', 'whose name is like this: * and ? stand for any text and any character'),
  host: value('HOST', 'that live there', 'host'),
  driver: value('DRIVER', 'of this driver: qemu, …'),
  name: flag('print names only'),
  uuid: flag('print uuids only'),
  table: flag('print a table (default)'),
  title: flag('print titles too'),
};

export const list = command({
  name: 'list',
  group: 'monitor',
  summary: 'List domains: the active ones, or those that options choose',
  args: {},
  options,
  examples: [
    example('list', 'what runs'),
    example('list --all --host h2', 'all that lives there'),
    example('list --inactive --autostart --name', 'names of those that should run'),
    example("list --all --match 'web*' --json", 'for a program'),
  ],
  async run({ options: chosen, session, out }) {
    if (Number(chosen.name) + Number(chosen.uuid) + Number(chosen.table) > 1 && chosen.table) {
      throw new UsageError('--table goes with neither --name nor --uuid');
    }
    const filter = filterOf(chosen);
    const domains: DomainSummary[] = [];
    let asOf = 0;
    let offline: string[] = [];
    for (let after: string | undefined, more = true; more;) {
      const page = await session.call('listDomains', { ...filter, ...(after ? { after } : {}) });
      if (after === undefined) ({ asOf, offline } = page);
      domains.push(...page.domains);
      after = page.next;
      more = after !== undefined;
    }
    out.show({ domains, asOf, offline }, () =>
      chosen.name || chosen.uuid ? isolatedNames(domains, chosen) : printDomains(domains, chosen, out.paint),
    );
    if (offline.length > 0 && !out.json) {
      out.note(`note: no answer from ${offline.join(', ')}; domains there are shown as last known`);
    }
  },
});

type Chosen = { [K in keyof typeof options]: (typeof options)[K] extends { type?: infer T } ? T : never };

/** As virsh: active ones unless an option speaks of others. */
export function filterOf(chosen: Partial<Chosen>): Filter {
  const states = Object.entries(stateFlags).flatMap(([key, names]) =>
    chosen[key as keyof typeof stateFlags] ? [...names] : [],
  );
  const filter: Filter = {};
  if (states.length > 0) filter.states = states;
  const saved = chosen.withManagedSave || chosen.withoutManagedSave;
  if (chosen.inactive && !chosen.all) filter.active = false;
  else if (!chosen.all && states.length === 0 && !saved) filter.active = true;
  if (chosen.persistent !== chosen.transient) filter.persistent = chosen.persistent ?? false;
  if (chosen.autostart !== undefined) filter.autostart = chosen.autostart;
  if (chosen.withManagedSave !== chosen.withoutManagedSave) filter.managedSave = chosen.withManagedSave ?? false;
  if (chosen.match) filter.name = chosen.match;
  if (chosen.host) filter.host = chosen.host;
  if (chosen.driver) filter.driver = chosen.driver;
  return filter;
}
