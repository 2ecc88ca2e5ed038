/** `verify`: does all that is written down about the fleet agree with the hosts and their disks? */
import type { Disagreement } from '@virtbus/shared';
import { ExitWith } from '../exec';
import { printVerified } from '../print/verify';
import type { Session } from '../session';
import { command, example, value } from '../spec';

export interface Verified {
  disagreements: (Omit<Disagreement, 'kind'> & { kind: string })[];
  domains: number;
  leases: number;
  disks: number;
  /** Of the domain service. */
  copies: number;
  notAsked: { host: string; service: string; reason: string }[];
}

export const verify = command({
  name: 'verify',
  group: 'host',
  summary: 'Compare registry, hosts, disks and leases, and tell where they disagree',
  about:
    'Exit code 0 when nothing disagrees, 1 when something does. Changes nothing. Hosts that do not answer are named; what ' +
    'they know is not compared, and is not counted as a disagreement.',
  args: {},
  options: { host: value('HOST', 'what concerns this host alone', 'host') },
  examples: [
    example('verify', 'after a restore of JetStream: nothing should disagree'),
    example('verify --host h1 --json', 'one host, for a program'),
  ],
  async run({ options: { host }, session, out }) {
    const found = await verified(session, host);
    out.show(found, () => printVerified(found, out.paint));
    if (found.disagreements.length > 0) throw new ExitWith(1);
  },
});

async function verified(session: Session, only: string | undefined): Promise<Verified> {
  const { hosts } = await session.call('listHosts', {});
  const names = [...new Set(hosts.map(({ host }) => host))].filter((host) => !only || host === only);
  const fleet = await session.call('verifyFleet', only ? { host: only } : {});
  const found: Verified = { ...fleet, disks: 0 };
  await Promise.all(names.map((host) => auditDisks(session, host, found)));
  return found;
}

/** Documents of chains against the headers of the images, by the storage service of each host. */
async function auditDisks(session: Session, host: string, into: Verified): Promise<void> {
  if (into.notAsked.some((one) => one.host === host && one.service === 'storage')) return;
  try {
    const { checked, faults } = await session.call('auditChains', {}, host);
    into.disks += checked;
    for (const { what, domain, reason, repair } of faults) {
      const advice = repair ?? 'look at the image; a guest does not start on it as it is';
      into.disagreements.push({ kind: 'disk', host, domain, what: `${what} on ${host}: ${reason}`, advice });
    }
  } catch (error) {
    into.notAsked.push({ host, service: 'storage', reason: (error as Error).message });
  }
}
