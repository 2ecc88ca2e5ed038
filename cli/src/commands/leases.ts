/** Who holds which image, and letting go of what nobody uses. */
import { printDropped, printLeases } from '../print/leases';
import { argument, command, example, flag, value } from '../spec';

export const leaseList = command({
  name: 'lease-list',
  group: 'host',
  summary: 'List the images that domains hold, and who tells of it: the book of their host, the fleet, or both',
  args: {},
  options: {
    host: value('HOST', 'what is held there alone', 'host'),
    domain: value('DOMAIN', 'what this one holds, by name or uuid', 'domain'),
  },
  examples: [
    example('lease-list', 'all of them'),
    example('lease-list --host h1 --domain web1', 'what web1 holds on one host'),
  ],
  async run({ options: { host, domain }, session, out }) {
    const answer = await session.call('listLeases', { ...(host && { host }), ...(domain && { domain }) });
    out.show(answer, () => printLeases(answer, out.paint));
  },
});

export const leaseDrop = command({
  name: 'lease-drop',
  group: 'host',
  summary: 'Let go of the images that a domain holds and does not use',
  about:
    'For a domain that is gone, or whose host was set up anew. Refused for what the domain uses. A host that does not answer ' +
    'cannot tell: with --host-is-gone you vouch that it never will and that no guest of its runs; two guests that write to ' +
    'one image destroy it.',
  args: { domain: argument('name or uuid, also of one that nobody knows any longer', 'domain') },
  options: {
    host: value('HOST', 'only what it holds there', 'host'),
    hostIsGone: flag('do not wait for the word of a host that does not answer'),
  },
  examples: [
    example('lease-drop web1 --host h1', 'what web1 held before h1 was set up anew'),
    example('lease-drop web1 --host h3 --host-is-gone', 'h3 has burnt down'),
  ],
  gives: 'dropLeases',
  async run({ args: { domain }, options: { host, hostIsGone }, session, out }) {
    const answer = await session.call('dropLeases', { ...(host && { host }), hostIsGone }, domain);
    out.show(answer, () => printDropped(answer.dropped, domain));
  },
});
