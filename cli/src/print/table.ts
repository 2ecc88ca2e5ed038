/** Tables and lists in virsh's shape, which scripts know how to read. */
import { plain, type Paint } from '../output';

/** ` Id   Name` over a line of dashes: cells one blank from the edge, three apart, the last column not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], paint: Paint = plain): string {
  const widths = head.map((title, i) => Math.max(...[title, ...rows.map((row) => row[i] ?? '')].map(width)));
  const line = (cells: readonly string[]): string =>
    ` ${cells.map((cell, i) => (i === head.length - 1 ? cell : pad(cell, widths[i]!))).join('   ')}`.trimEnd();
  const dashes = '-'.repeat(widths.reduce((sum, each) => sum + each + 3, 0));
  return [paint('bold', line(head)), dashes, ...rows.map(line)].join('\n') + '\n';
}

/** `Name:           web1`: the names in a column of 15, as dominfo has it. */
export function fields(pairs: readonly (readonly [string, string | number | undefined])[]): string {
  return pairs
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${`${name}:`.padEnd(15)} ${value}\n`)
    .join('');
}

/** Columns on a terminal: colour codes take none, wide characters two. */
export function width(text: string): number {
  let columns = 0;

  for (const char of text.replace(/\u001b\[\d+m/g, '')) {
    columns += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(
      char,
    )
      ? 2
      : 1;
  }
  return columns;
}

const pad = (text: string, to: number): string => text + ' '.repeat(Math.max(0, to - width(text)));

/** What a guest or a user named may hold control characters; a terminal must not act on them. */
export function safe(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
