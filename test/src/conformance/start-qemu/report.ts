/** What came of starting the cases, in groups: a line each, and the cases of those that somebody may want to look at. */
import type { Judged, Verdict } from './run';

const headings: Readonly<Record<Verdict['kind'], string>> = {
  accepted: 'accepted',
  host: 'need something of the host',
  version: 'not in this QEMU',
  recorded: "refused as libvirt's own command line would be, which is the same",
  refused: 'refused',
};

export function startReport(judged: readonly Judged[]): string {
  const lines: string[] = [];
  for (const kind of Object.keys(headings) as Verdict['kind'][]) {
    const some = judged.filter(({ verdict }) => verdict.kind === kind);
    lines.push(`${String(some.length).padStart(5)}  ${headings[kind]}`);
    if (kind === 'host') lines.push(...countsOf(some));
    else if (kind !== 'accepted') lines.push(...some.map(({ id, verdict }) => `         ${id}: ${detailOf(verdict)}`));
  }
  return lines.join('\n');
}

function countsOf(judged: readonly Judged[]): string[] {
  const counts = new Map<string, number>();
  for (const { verdict } of judged) counts.set(detailOf(verdict), (counts.get(detailOf(verdict)) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([need, count]) => `         ${count} ${need}`);
}

const detailOf = (verdict: Verdict): string =>
  verdict.kind === 'accepted' ? '' : verdict.kind === 'host' ? verdict.need : verdict.reason;
