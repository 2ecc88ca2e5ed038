/** Moving domains between hosts. */
import { ExitWith } from '../exec';
import { untilMoved } from '../migration-watch';
import { printMigration, printMigrations } from '../print/migrations';
import { argument, command, domain, example, flag, parseNumber, UsageError } from '../spec';
import { bytesASecond, migrateOptions, timeoutOf, wishOf } from './migrate-options';

/** A domain, or the id of a migration. */
const migration = argument('a domain that migrates, or the id of a migration', 'domain');

export const migrate = command({
  name: 'migrate',
  group: 'domain',
  summary: 'Move a domain to another host',
  about: 'Waits for the end; Ctrl-C gives the migration up and leaves the guest where it was.',
  args: { domain },
  options: {
    ...migrateOptions,
    dryRun: flag('only print every reason why it could not be moved now; exit code 1 when there is one'),
    watch: flag('show how far it is, also where no terminal is'),
    detach: flag('answer as soon as it has begun'),
  },
  gives: 'migrateDomain',
  examples: [
    example('migrate web1 --to h2 --live --watch', 'move a running guest, with a progress bar'),
    example('migrate web1 --to h2 --live --dry-run', 'could it be moved?'),
    example('migrate web1 --to h2 --live --copy-storage-all', 'with its disks'),
  ],
  async run({ args, options: given, session, out }) {
    const { to, dryRun, watch, detach, postcopyAfterPrecopy } = given;
    if (to === undefined) throw new UsageError('--to HOST is needed: where does it move to?');
    if (postcopyAfterPrecopy && (detach || !given.postcopy)) {
      throw new UsageError('--postcopy-after-precopy needs --postcopy, and does not go with --detach');
    }
    const timeout = timeoutOf(given);
    const request = { to, ...(await wishOf(given)), ...(timeout && { timeout }) };
    if (dryRun) {
      const { reasons } = await session.call('checkMigration', request, args.domain);
      const words = reasons.map(({ where, message }) => `${where}: ${message}`);
      out.show({ reasons }, () => words.join('\n') || `Domain '${args.domain}' can be moved to host '${to}'`);
      if (reasons.length > 0) throw new ExitWith(1);
      return;
    }
    const { migration: begun } = await session.call('migrateDomain', request, args.domain);
    if (detach) return out.show({ migration: begun }, () => `Migration ${begun.id} begun`);
    const ended = await untilMoved(session, out, begun, { verbose: watch, postcopyAfterPrecopy });
    out.show({ migration: ended }, () => `Domain '${ended.name}' moved to host '${ended.target.host}'`);
  },
});

export const migrations = command({
  name: 'migrations',
  group: 'monitor',
  summary: 'List migrations: those that run, with --all those of the last day too',
  args: {},
  options: { all: flag('also those that have ended') },
  examples: [example('migrations', 'what is on its way')],
  async run({ options: { all }, session, out }) {
    const { migrations: found } = await session.call('listMigrations', all ? {} : { state: 'running' });
    out.show({ migrations: found }, () => printMigrations(found, out.paint));
  },
});

export const migrateInfo = command({
  name: 'migrate-info',
  group: 'monitor',
  summary: 'Show a migration: how far it is, how it ended',
  args: { migration },
  options: {},
  examples: [example('migrate-info web1', 'the latest of that domain')],
  async run({ args, session, out }) {
    const answer = await session.call('showMigration', {}, args.migration);
    out.show(answer, () => printMigration(answer.migration));
  },
});

export const migrateAbort = command({
  name: 'migrate-abort',
  group: 'domain',
  summary: 'Give a migration up: the guest goes on where it was',
  args: { migration },
  options: { targetIsOff: flag('you vouch that the target host is off: it is not asked') },
  gives: 'abortMigration',
  examples: [example('migrate-abort web1', 'no further')],
  async run({ args, options: { targetIsOff }, session }) {
    await session.give(
      'abortMigration',
      { targetIsOff },
      args.migration,
      (answer) => `Migration ${answer.migration.id} given up`,
    );
  },
});

export const migrateSetspeed = command({
  name: 'migrate-setspeed',
  group: 'domain',
  summary: 'Limit how fast a migration sends memory',
  args: { migration, bandwidth: argument('MiB/s; with a unit, bytes/s') },
  options: { postcopy: flag('of post-copy') },
  gives: 'setMigrationLimits',
  examples: [example('migrate-setspeed web1 100', '100 MiB/s')],
  async run({ args, options: { postcopy }, session }) {
    const limit = bytesASecond(args.bandwidth, 'bandwidth');
    const request = postcopy ? { postcopyBandwidth: limit } : { bandwidth: limit };
    await session.give('setMigrationLimits', request, args.migration, () => 'Limit set');
  },
});

export const migrateGetspeed = command({
  name: 'migrate-getspeed',
  group: 'monitor',
  summary: 'Print how fast a migration may send memory, MiB/s; 0 for no limit',
  args: { migration },
  options: { postcopy: flag('in post-copy') },
  examples: [example('migrate-getspeed web1', '100')],
  async run({ args, options: { postcopy }, session, out }) {
    const { limits } = (await session.call('showMigration', {}, args.migration)).migration;
    const bytes = (postcopy ? limits.postcopyBandwidth : limits.bandwidth) ?? 0;
    out.show(limits, () => String(Math.round(bytes / 1_048_576)));
  },
});

export const migrateSetmaxdowntime = command({
  name: 'migrate-setmaxdowntime',
  group: 'domain',
  summary: 'Limit for how long the guest of a migration may stand still',
  args: { migration, downtime: argument('milliseconds') },
  options: {},
  gives: 'setMigrationLimits',
  examples: [example('migrate-setmaxdowntime web1 300', '300 ms')],
  async run({ args, session }) {
    const downtimeMs = parseNumber(args.downtime, '<downtime>', 1);
    await session.give('setMigrationLimits', { downtimeMs }, args.migration, () => 'Limit set');
  },
});

export const migratePostcopy = command({
  name: 'migrate-postcopy',
  group: 'domain',
  summary: 'Switch a migration that was begun with --postcopy to post-copy',
  args: { migration },
  options: {},
  gives: 'startPostcopy',
  examples: [example('migrate-postcopy web1', 'the guest runs on the target at once')],
  async run({ args, session }) {
    await session.give('startPostcopy', {}, args.migration, () => 'Switched to post-copy');
  },
});
