/** The rows of a run as a table for people and as JSON for programs. */
import { type Figure } from './measure/figure';
import { ratioOf, type Row } from './measure/row';

/** What `--json` writes of a row. Without the peer, `peer` and `ratio` are null. */
export interface JsonRow {
  name: string;
  metric: string;
  unit: string;
  ours: number;
  peer: number | null;
  peerName: string;
  ratio: number | null;
  runs: number;
}

export function toJson(rows: readonly Row[]): JsonRow[] {
  return rows.map((row) => ({
    name: row.name,
    metric: row.metric,
    unit: row.unit,
    ours: rounded(row.ours.value),
    peer: row.peer ? rounded(row.peer.value) : null,
    peerName: row.peerName,
    ratio: rounded(ratioOf(row) ?? NaN) || null,
    runs: row.ours.runs,
  }));
}

const heading = ['benchmark', 'metric', 'ours (min–max)', 'peer', 'peer (min–max)', 'ratio', 'goal', '', 'runs'];

export function toTable(rows: readonly Row[]): string {
  const lines = [heading, ...rows.map(cells)];
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const text = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return [text[0], widths.map((width) => '─'.repeat(width)).join('  '), ...text.slice(1)].join('\n');
}

function cells(row: Row): string[] {
  const { name, metric, unit, ours, peer, peerName, goal } = row;
  const ratio = ratioOf(row);
  return [
    name,
    metric,
    shown(ours, unit),
    peerName,
    peer ? shown(peer, unit) : 'not here',
    ratio === undefined ? '–' : `${ratio.toFixed(2)} ×`,
    goal?.text ?? '',
    judged(goal?.met(ours.value, peer?.value)),
    String(ours.runs),
  ];
}

const judged = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'met' : 'NOT MET');

function shown({ value, min, max }: Figure, unit: string): string {
  return `${brief(value)} ${unit} (${brief(min)}–${brief(max)})`;
}

const brief = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2));
const rounded = (value: number): number => Math.round(value * 1000) / 1000;
