/** What `verify` found: a line a disagreement, with what to do. */
import type { Verified } from '../commands/verify';
import { plain, type Paint } from '../output';
import { safe } from './table';

export function printVerified(found: Verified, paint: Paint = plain): string {
  const { disagreements, domains, leases, disks, copies, notAsked } = found;
  const lines = disagreements.flatMap(({ kind, what, advice }) => [
    `${paint('red', kind)}: ${safe(what)}`,
    `  ${safe(advice)}`,
  ]);
  for (const { host, service, reason } of notAsked) {
    lines.push(`${paint('yellow', 'not asked')}: ${service} of ${host}: ${safe(reason)}`);
  }
  const verdict =
    disagreements.length === 0 ? paint('green', '0 disagreements') : `${disagreements.length} disagreements`;
  lines.push(
    `${verdict}; compared ${domains} domains, ${leases} leases, ${disks} disks and volumes, ${copies} ${copies === 1 ? 'copy' : 'copies'} of the domain service`,
  );
  return lines.join('\n');
}
