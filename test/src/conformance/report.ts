/** Prints scores as a table and failing cases as a bounded list. */
import type { Score } from './kit';

const percent = ({ cases, passed }: Score): string => (cases === 0 ? '-' : `${((100 * passed) / cases).toFixed(1)} %`);

export function table(scores: readonly Score[]): string {
  const rows = [
    ['kit', 'kind', 'cases', 'passed', ''],
    ...scores.map((score) => [score.kit, score.kind, `${score.cases}`, `${score.passed}`, percent(score)]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

/** At most `limit` cases of each kind, each with what was expected and what came. */
export function failingCases(scores: readonly Score[], limit: number): string {
  const lines: string[] = [];
  for (const { kit, kind, failures } of scores) {
    if (failures.length === 0) continue;
    lines.push('', `${kit}, ${kind}: ${failures.length} failing`);
    for (const { id, reason } of failures.slice(0, limit)) lines.push(`  ${id}: ${reason.replaceAll('\n', '\n    ')}`);
    if (failures.length > limit) lines.push(`  … and ${failures.length - limit} more (--all shows them)`);
  }
  return lines.join('\n');
}
