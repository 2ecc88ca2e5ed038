/** Backing chains: what disks stand on, whether that is still so, who stands on an image, and repairing what would not start. */
import { disks, formatElement } from '../device-xml';
import { fail } from '../failure';
import { printAudit, printChains, printUsers, printVerified, type Audited } from '../print/chains';
import type { Session } from '../session';
import { argument, choice, command, domain, example, flag, UsageError, value } from '../spec';

/** Those that an image on a host can have. */
const formats = [
  'raw',
  'qcow2',
  'qcow',
  'qed',
  'vmdk',
  'vdi',
  'vpc',
  'vhd',
  'vhdx',
  'ploop',
  'bochs',
  'cloop',
  'dmg',
] as const;
const host = value('HOST', 'which host has the image; may be left out when there is but one', 'host');

export const chainShow = command({
  name: 'chain-show',
  group: 'chain',
  summary: 'Show the backing chain of every disk of a domain, or of an image',
  about: 'For a domain that runs, as its guest has it open; for one that does not, as a start would find it now.',
  args: { target: argument('name or uuid of a domain, or the path of an image on a host', 'domain') },
  options: { host, format: choice(formats, 'format of the image; told by its header when left out') },
  examples: [
    example('chain-show web1', 'every layer of its disks'),
    example('chain-show /srv/images/web1.qcow2 --host h1', 'of an image'),
  ],
  async run({ args, options, session, out }) {
    const answer = args.target.startsWith('/')
      ? await session.call(
          'showChain',
          { image: args.target, format: options.format },
          await session.host(options.host),
        )
      : await chainsOfDomain(session, args.target);
    out.show(answer.chains, () => printChains(answer.chains, out.paint));
  },
});

async function chainsOfDomain(session: Session, target: string) {
  const { domain: found } = await session.call('getDomain', {}, target);
  const { xml = '' } = await session.call('getDomainXml', {}, found.uuid);
  const elements = disks(xml).map((disk) => formatElement(disk.element));
  return session.call('showChain', { domain: found.uuid, disks: elements }, found.host);
}

export const chainVerify = command({
  name: 'chain-verify',
  group: 'chain',
  summary: 'Read the images of a running domain again and compare them with what is known',
  args: { domain },
  options: {},
  examples: [example('chain-verify web1', 'differences, layer by layer')],
  async run({ args, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    const { disks: verified } = await session.call('verifyChain', { domain: found.uuid }, found.host);
    out.show(verified, () => printVerified(verified, out.paint));
    const different = verified.filter(({ differences }) => differences.length > 0);
    if (different.length === 0) return;
    const targets = different.map(({ target }) => target).join(', ');
    throw fail('OPERATION_FAILED', { detail: `the images of ${targets} are not what '${found.name}' was started on` });
  },
});

export const chainRepair = command({
  name: 'chain-repair',
  group: 'chain',
  summary: 'Write the format of its backing image into an overlay that records none',
  about:
    'The format is stated, or known because virtbus made the image or another overlay records it; it is never guessed.',
  args: { overlay: argument('path of the overlay on the host') },
  options: {
    format: choice(formats, 'format of the image below'),
    base: value('PATH', 'another name for the image below; as it is recorded when left out'),
    host,
  },
  gives: 'repairChain',
  examples: [example('chain-repair /srv/images/web1.qcow2 --format raw', 'the image below is raw')],
  async run({ args, options, session }) {
    const { format, base } = options;
    const at = await session.host(options.host);
    await session.give('repairChain', { overlay: args.overlay, format, base }, at, (done) =>
      done.changed
        ? `'${done.overlay}' now records that '${done.base}' is ${done.format} (${done.known})`
        : `'${done.overlay}' records already that '${done.base}' is ${done.format}`,
    );
  },
});

export const chainAudit = command({
  name: 'chain-audit',
  group: 'chain',
  summary: 'Find every image that no guest could start on, with the commands that mend it',
  args: {},
  options: {
    fleet: flag('on every host'),
    host: value('HOST', 'on one host; may be left out when there is but one', 'host'),
  },
  examples: [example('chain-audit --fleet', 'domains and volumes of all hosts')],
  async run({ options, session, out }) {
    const hosts = options.fleet ? await everyHost(session) : [await session.host(options.host)];
    const audited = await Promise.all(
      hosts.map(async (name): Promise<Audited> => {
        try {
          return { host: name, ...(await session.call('auditChains', {}, name)) };
        } catch (error) {
          return { host: name, checked: 0, faults: [], reason: (error as Error).message };
        }
      }),
    );
    out.show(audited, () => printAudit(audited, out.paint));
  },
});

export const chainUsers = command({
  name: 'chain-users',
  group: 'chain',
  summary: 'List the domains and volumes that stand on an image',
  args: { image: argument('its path') },
  options: { host: value('HOST', 'as this host knows it; every host when left out', 'host') },
  examples: [example('chain-users /srv/images/golden.qcow2', 'whom a change would touch')],
  async run({ args, options, session, out }) {
    if (!args.image.startsWith('/')) throw new UsageError(`<image>: '${args.image}' is no absolute path`);
    const hosts = options.host ? [options.host] : await everyHost(session);
    const asked = await Promise.allSettled(
      hosts.map((name) => session.call('usersOfImage', { image: args.image }, name)),
    );
    const answers = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = asked.find((one) => one.status === 'rejected');
    if (answers.length === 0 && refused) throw refused.reason;
    asked.forEach((one, i) => {
      if (one.status === 'rejected') out.note(`${hosts[i]}: ${(one.reason as Error).message}`);
    });
    const users = answers.flatMap((answer) => answer.users);
    out.show(users, () => printUsers(users, out.paint));
  },
});

async function everyHost(session: Session): Promise<string[]> {
  const { hosts } = await session.call('listHosts', {});
  return [...new Set(hosts.map(({ host: name }) => name))];
}
