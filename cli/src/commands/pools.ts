/** Storage pools: which there are, what they have, and their life. */
import type { PoolSummary } from '@virtbus/shared';
import { printPool, printPools } from '../print/storage';
import { safe } from '../print/table';
import type { Session } from '../session';
import { argument, command, eitherWay, example, flag, value } from '../spec';
import { askHosts, hostOfPool, onHost } from '../storage-host';

export const pool = argument('name or uuid of the pool');

/** `--build`, and over what is there. */
export const build = {
  build: flag('make the storage first, where there is nothing yet'),
  overwrite: flag('make the storage first, over what is there'),
};
export const buildOf = (chosen: { build: boolean; overwrite: boolean }) =>
  chosen.overwrite ? ('overwrite' as const) : chosen.build ? ('new' as const) : ('no' as const);

export const poolList = command({
  name: 'pool-list',
  group: 'pool',
  summary: 'List the pools of the fleet, or of one host: active ones, or those that options choose',
  args: {},
  options: {
    all: flag('inactive pools too'),
    inactive: flag('inactive pools only'),
    persistent: flag('with a definition'),
    transient: flag('without one'),
    autostart: eitherWay('that start with their host'),
    type: value('TYPE[,TYPE]', 'of these types: dir, fs, …'),
    host: value('HOST', 'of this host only', 'host'),
    details: flag('with sizes'),
    name: flag('print names only'),
    uuid: flag('print uuids only'),
  },
  examples: [example('pool-list --all', 'all of them'), example('pool-list --host h1 --details', 'with their space')],
  async run({ options, session, out }) {
    const request = {
      ...(options.inactive && !options.all ? { active: false } : options.all ? {} : { active: true }),
      ...(options.persistent !== options.transient ? { persistent: options.persistent } : {}),
      ...(options.autostart === undefined ? {} : { autostart: options.autostart }),
      ...(options.type === undefined ? {} : { types: options.type.split(',') }),
    };
    const { pools, silent } = await poolsOf(session, options.host, request);
    out.show({ pools, silent }, () =>
      options.name || options.uuid
        ? pools
            .map((each) => [options.uuid ? each.uuid : '', options.name ? safe(each.name) : ''].join(' ').trim())
            .join('\n')
        : printPools(pools, options, out.paint),
    );
    if (silent.length > 0 && !out.json) out.note(`note: no storage service answers on ${silent.join(', ')}`);
  },
});

async function poolsOf(
  session: Session,
  host: string | undefined,
  request: { active?: boolean },
): Promise<{ pools: PoolSummary[]; silent: string[] }> {
  if (host !== undefined) return { pools: (await session.call('listPools', request, host)).pools, silent: [] };
  const { found, silent } = await askHosts(session, (each) => session.call('listPools', request, each));
  const pools = found.flatMap(({ answer }) => answer.pools);
  return { pools: pools.sort((a, b) => (a.name < b.name ? -1 : 1)), silent };
}

export const poolInfo = command({
  name: 'pool-info',
  group: 'pool',
  summary: 'Show what a pool is and has',
  args: { pool },
  options: onHost,
  examples: [example('pool-info default', 'state, space, number of volumes')],
  async run({ args, options, session, out }) {
    const answer = await session.call('getPool', args, await hostOfPool(session, options.host, args.pool));
    out.show(answer, () => printPool(answer.pool));
  },
});

export const poolDumpxml = command({
  name: 'pool-dumpxml',
  group: 'pool',
  summary: "Print a pool's document",
  args: { pool },
  options: { inactive: flag('the definition, also when the pool runs'), ...onHost },
  examples: [example('pool-dumpxml default', 'as it is now')],
  async run({ args, options, globals, session, out }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const format = globals.json ? ('json' as const) : ('xml' as const);
    const answer = await session.call('getPoolXml', { ...args, inactive: options.inactive, format }, host);
    out.show(answer.document, () => answer.xml ?? '');
  },
});

const naming = (name: string, key: 'name' | 'uuid', summary: string) =>
  command({
    name,
    group: 'pool',
    summary,
    args: { pool },
    options: onHost,
    examples: [example(`${name} default`, key === 'uuid' ? 'the name that never changes' : 'of a uuid')],
    async run({ args, options, session, out }) {
      const host = await hostOfPool(session, options.host, args.pool);
      const { pool: found } = await session.call('getPool', args, host);
      out.show({ [key]: found[key] }, () => safe(found[key]));
    },
  });
export const poolUuid = naming('pool-uuid', 'uuid', "Print a pool's uuid");
export const poolName = naming('pool-name', 'name', "Print a pool's name");

export const poolStart = command({
  name: 'pool-start',
  group: 'pool',
  summary: 'Start a pool that is defined',
  args: { pool },
  options: { ...build, ...onHost },
  gives: 'startPool',
  examples: [example('pool-start default', 'use it'), example('pool-start default --build', 'make its folder first')],
  async run({ args, options, session }) {
    const host = await hostOfPool(session, options.host, args.pool);
    await session.give('startPool', { ...args, build: buildOf(options) }, host, (a) => `Pool '${a.pool.name}' started`);
  },
});

/** A command that needs nothing but the pool. */
const simple = (
  name: string,
  gives: 'stopPool' | 'undefinePool' | 'deletePool' | 'refreshPool',
  done: string,
  summary: string,
  says: string,
) =>
  command({
    name,
    group: 'pool',
    summary,
    args: { pool },
    options: onHost,
    gives,
    examples: [example(`${name} default`, says)],
    async run({ args, options, session }) {
      const host = await hostOfPool(session, options.host, args.pool);
      await session.give(gives, args, host, (answer) => `Pool '${answer.pool.name}' ${done}`);
    },
  });
export const poolDestroy = simple(
  'pool-destroy',
  'stopPool',
  'destroyed',
  'Stop a pool; what it holds stays, a transient pool is forgotten',
  'use it no more',
);
export const poolUndefine = simple(
  'pool-undefine',
  'undefinePool',
  'has been undefined',
  'Drop the definition of an inactive pool; what it holds stays',
  'forget it',
);
export const poolDelete = simple(
  'pool-delete',
  'deletePool',
  'deleted',
  'Take the storage of an inactive pool away: its empty folder, its volume group',
  'the definition stays',
);
export const poolRefresh = simple(
  'pool-refresh',
  'refreshPool',
  'refreshed',
  'Look again at what a pool holds',
  'find volumes that came by themselves',
);

export const poolBuild = command({
  name: 'pool-build',
  group: 'pool',
  summary: 'Make the storage of a pool: a folder, a file system, a volume group, a partition table',
  args: { pool },
  options: { overwrite: flag('also over what is there, which is lost'), ...onHost },
  gives: 'buildPool',
  examples: [example('pool-build default', 'refused where there is something already')],
  async run({ args, options, session }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const { overwrite } = options;
    await session.give('buildPool', { ...args, overwrite }, host, (answer) => `Pool '${answer.pool.name}' built`);
  },
});

export const poolAutostart = command({
  name: 'pool-autostart',
  group: 'pool',
  summary: 'Start a pool with its host, or no more',
  args: { pool },
  options: { disable: flag('no more'), ...onHost },
  gives: 'setPoolAutostart',
  examples: [example('pool-autostart default', 'from the next boot on')],
  async run({ args, options, session }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const autostart = !options.disable;
    const words = autostart ? 'marked as autostarted' : 'unmarked as autostarted';
    await session.give('setPoolAutostart', { ...args, autostart }, host, (a) => `Pool '${a.pool.name}' ${words}`);
  },
});
