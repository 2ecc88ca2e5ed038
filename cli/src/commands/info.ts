/** Questions about one domain: dominfo, domstate, its job. */
import type { Migration } from '@virtbus/shared';
import { printInfo, printState } from '../print/domains';
import { printJob } from '../print/job';
import { printMigration } from '../print/migrations';
import type { Session } from '../session';
import { command, domain, example, flag } from '../spec';

export const dominfo = command({
  name: 'dominfo',
  group: 'monitor',
  summary: 'Show what a domain is and has',
  args: { domain },
  options: {},
  examples: [example('dominfo web1', 'state, memory, host, …')],
  async run({ args, session, out }) {
    const { domain: found, online } = await session.call('getDomain', {}, args.domain);
    // CPU time is an extra: a guest that hangs or a host that is away must not cost the answer.
    const asked = online && found.id >= 0;
    const stats = asked
      ? await session.call('statsOfDomain', { groups: ['cpu'] }, found.uuid).catch(() => undefined)
      : undefined;
    out.show({ ...found, online, ...(stats?.stats.cpu ? { cpu: stats.stats.cpu } : {}) }, () =>
      printInfo(found, stats?.stats, online),
    );
  },
});

export const domstate = command({
  name: 'domstate',
  group: 'monitor',
  summary: "Print a domain's state",
  args: { domain },
  options: { reason: flag('and why it is in it') },
  examples: [example('domstate web1 --reason', 'running (booted)')],
  async run({ args, options, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    out.show({ state: found.state, reason: found.reason }, () => printState(found, options.reason));
  },
});

/** The migration of a domain that runs; none where no migration service does. */
async function migrationOf(session: Session, domain: string): Promise<Migration | undefined> {
  const found = await session.call('showMigration', {}, domain).catch(() => undefined);
  return found?.migration.state === 'running' ? found.migration : undefined;
}

export const domjobinfo = command({
  name: 'domjobinfo',
  group: 'monitor',
  summary: 'Show the long job that runs on a domain',
  args: { domain },
  options: { completed: flag('the last one that ended') },
  examples: [example('domjobinfo web1', 'how far a save has come')],
  async run({ args, options, session, out }) {
    const moving = options.completed ? undefined : await migrationOf(session, args.domain);
    if (moving) return out.show({ migration: moving }, () => printMigration(moving));
    const { job } = await session.call('getJob', { completed: options.completed }, args.domain);
    out.show(job, () => printJob(job));
  },
});

export const domjobabort = command({
  name: 'domjobabort',
  group: 'domain',
  summary: 'Abort the long job that runs on a domain',
  args: { domain },
  options: {},
  gives: 'abortJob',
  examples: [example('domjobabort web1', 'the guest goes on as before')],
  async run({ args, session, out }) {
    if (await migrationOf(session, args.domain)) {
      const answer = await session.call('abortMigration', {}, args.domain);
      return out.show(answer, () => `Migration of domain '${args.domain}' given up`);
    }
    await session.give('abortJob', {}, args.domain, () => `Job of domain '${args.domain}' aborted`);
  },
});
