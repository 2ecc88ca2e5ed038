/** Hosts: which there are, what they have, what they can run. */
import type { listHosts, Response } from '@virtbus/shared';
import { printHost, printHosts } from '../print/hosts';
import { argument, command, example, optional, value } from '../spec';
import { fail } from '../failure';

export type HostRow = Response<typeof listHosts>['hosts'][number];

export const hosts = command({
  name: 'hosts',
  group: 'host',
  summary: 'List the hosts of the fleet: one row a driver',
  args: {},
  options: {},
  examples: [example('hosts', 'who is there, with memory, load and domains')],
  async run({ session, out }) {
    const answer = await session.call('listHosts', {});
    out.show(answer, () => printHosts(answer.hosts, out.paint));
  },
});

export const hostInfo = command({
  name: 'host-info',
  group: 'host',
  summary: 'Show what a host is and has',
  args: { host: optional('its name; may be left out when there is but one', 'host') },
  options: {},
  examples: [example('host-info h1', 'drivers, memory, load, labels')],
  async run({ args, session, out }) {
    const host = await session.host(args.host);
    const found = (await session.call('listHosts', {})).hosts.filter((each) => each.host === host);
    if (found.length === 0) throw fail('HOST_NOT_FOUND', { host });
    out.show({ hosts: found }, () => found.map(printHost).join('\n'));
  },
});

export const hostForget = command({
  name: 'host-forget',
  group: 'host',
  summary: 'List a host no more that is gone for good',
  about: 'Refused while a driver of it is online, or a domain lives there. A host that comes back is listed again.',
  args: { host: argument('name of the host', 'host') },
  options: {},
  gives: 'forgetHost',
  examples: [example('host forget h1', 'after it was drained and switched off')],
  async run({ args: { host }, session }) {
    await session.give('forgetHost', {}, host, () => `Host '${host}' forgotten`);
  },
});

const where = {
  host: value('HOST', 'which host; may be left out when there is but one', 'host'),
  driver: value('DRIVER', 'which driver: qemu, …'),
};

export const capabilities = command({
  name: 'capabilities',
  group: 'host',
  summary: "Print a host's capabilities document",
  args: {},
  options: where,
  examples: [example('capabilities --host h1', 'XML'), example('capabilities --host h1 --json', 'the same as JSON')],
  async run({ options, globals, session, out }) {
    const host = await session.host(options.host);
    const driver = options.driver ? { driver: options.driver } : {};
    const answer = await session.call('hostCapabilities', { format: globals.json ? 'json' : 'xml', ...driver }, host);
    out.show(answer.document, () => answer.xml ?? '');
  },
});

export const domcapabilities = command({
  name: 'domcapabilities',
  group: 'host',
  summary: 'Print what a domain can have on a host',
  args: {},
  options: {
    ...where,
    virttype: value('TYPE', 'domain type: kvm, qemu, …'),
    arch: value('ARCH', 'x86_64, aarch64, …'),
    machine: value('MACHINE', 'q35, pc, …'),
    emulatorbin: value('PATH', 'which emulator, on the host'),
  },
  examples: [example('domcapabilities --host h1 --machine q35', 'of one machine type')],
  async run({ options, globals, session, out }) {
    const host = await session.host(options.host);
    const { driver, virttype: virtType, arch, machine, emulatorbin: emulator } = options;
    const request = {
      driver,
      virtType,
      arch,
      machine,
      emulator,
      format: globals.json ? ('json' as const) : ('xml' as const),
    };
    const answer = await session.call('domainCapabilities', request, host);
    out.show(answer.document, () => answer.xml ?? '');
  },
});

export const domhost = command({
  name: 'domhost',
  group: 'host',
  summary: 'Print the host that a domain lives on',
  args: { domain: argument('name or uuid of the domain', 'domain') },
  options: {},
  examples: [example('domhost web1', 'its home')],
  async run({ args, session, out }) {
    const { domain, online } = await session.call('getDomain', {}, args.domain);
    out.show({ host: domain.host, driver: domain.driver, online }, () => domain.host);
  },
});
