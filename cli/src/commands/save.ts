/** Saving guests to files and bringing them back. */
import { isAbsolute, resolve } from 'node:path';
import { readText } from '../definition';
import { watchJob } from '../progress';
import { argument, command, domain, example, flag, UsageError, value } from '../spec';

const afterwards = {
  running: flag('it runs after it is restored'),
  paused: flag('it is paused after it is restored'),
};

/** Which of the two: undefined leaves it as it was. */
function pausedOf(options: { running: boolean; paused: boolean }): { paused?: boolean } {
  if (options.running && options.paused) throw new UsageError('--running does not go with --paused');
  return options.running ? { paused: false } : options.paused ? { paused: true } : {};
}

const absolute = (path: string): string => (isAbsolute(path) ? path : resolve(path));

export const save = command({
  name: 'save',
  group: 'domain',
  summary: "Write a guest's memory to a file on its host and stop it",
  args: { domain, file: argument('file on its home host', 'file') },
  options: { xml: value('FILE', 'document to restore it with; the same hardware', 'file'), ...afterwards },
  gives: 'saveDomain',
  queue: true,
  examples: [example('save web1 /var/tmp/web1.save', "'restore' brings it back")],
  async run({ args, options, session, out }) {
    const path = absolute(args.file);
    const xml = options.xml ? { xml: await readText(options.xml) } : {};
    const work = session.give('saveDomain', { path, ...xml, ...pausedOf(options) }, args.domain, (a) => {
      return `Domain '${a.domain.name}' saved to ${path}`;
    });
    await watchJob(session, out, 'Save', args.domain, work);
  },
});

export const restore = command({
  name: 'restore',
  group: 'domain',
  summary: 'Bring a saved guest back as it was',
  args: { file: argument('file that save has written, on the host', 'file') },
  options: {
    host: value('HOST', 'the host that has the file; may be left out when there is but one', 'host'),
    xml: value('FILE', 'document to use instead of the saved one; the same hardware', 'file'),
    ...afterwards,
  },
  gives: 'restoreDomain',
  queue: true,
  examples: [example('restore /var/tmp/web1.save --host h1', 'it goes on where it was')],
  async run({ args, options, session, out }) {
    const path = absolute(args.file);
    const host = await session.host(options.host);
    const xml = options.xml ? { xml: await readText(options.xml) } : {};
    const work = session.give('restoreDomain', { host, path, ...xml, ...pausedOf(options) }, undefined, () => {
      return `Domain restored from ${path}`;
    });
    await watchJob(session, out, 'Restore', undefined, work);
  },
});

export const managedsave = command({
  name: 'managedsave',
  group: 'domain',
  summary: 'Save a guest to a file of virtbus; the next start brings it back',
  args: { domain },
  options: afterwards,
  gives: 'managedSave',
  queue: true,
  examples: [example('managedsave web1', "'start' brings it back")],
  async run({ args, options, session, out }) {
    const work = session.give('managedSave', pausedOf(options), args.domain, (a) => {
      return `Domain '${a.domain.name}' state saved by virtbus`;
    });
    await watchJob(session, out, 'Save', args.domain, work);
  },
});

export const managedsaveRemove = command({
  name: 'managedsave-remove',
  group: 'domain',
  summary: "Drop a domain's managed save image; the next start boots afresh",
  args: { domain },
  options: {},
  gives: 'removeManagedSave',
  queue: true,
  examples: [example('managedsave-remove web1', 'forget its memory')],
  async run({ args, session }) {
    await session.give('removeManagedSave', {}, args.domain, (a) => {
      const { name } = a.domain;
      if (a.removed === false) return `Domain '${name}' has no managed save image; removal skipped`;
      return `Removed managedsave image for domain '${name}'`;
    });
  },
});
