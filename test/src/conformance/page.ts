/** The page of the reference that tells how close this build is to libvirt: the numbers, and every case that fails. */
import { resolve } from 'node:path';
import type { Failure, Score } from './kit';

export const pagePath = resolve(__dirname, '../../../docs/reference/conformance.md');

/** Longer reasons are cut: a command line says its point early. */
const longest = 800;

/** What several cases have in common. */
const gaps = [
  "CPU models of the host (`host-model`, minimum matches, checks): they need libvirt's definitions of CPU models, which neither the kit " +
    'nor QEMU tells; what the host or the emulation can do is given whole.',
  'Capabilities that are not supplied: the kit has no recording of that QEMU, so nothing can be prepared.',
  'Sound that follows the environment of the daemon (`QEMU_AUDIO_DRV`, `SDL_AUDIODRIVER`): ours reads no such variables.',
  'Host bridges for groups of passed-through devices on pseries: which devices share a group only the host knows.',
  'Words of another XML parser, and of files that are not there: ours says the same fault with its own line.',
];

export function conformancePage(scores: readonly Score[]): string {
  const kits = [...new Set(scores.map(({ kit }) => kit))];
  return [
    '# Conformance',
    '',
    "Made by `npm run conformance -- --report` from libvirt's own test data, where it lies in `../shared/conformance`. How a case is",
    'judged is told by the README of its kit; *strict* is byte by byte, *lenient* compares trees of elements. A case that needs what',
    'this build lacks has failed. *simple* cases need nothing but the x86_64 capabilities and the default host.',
    '',
    '| kit | judged | cases | passed | |',
    '|---|---|---:|---:|---:|',
    ...scores.map(
      ({ kit, kind, cases, passed }) =>
        `| ${kit} | ${kind} | ${cases} | ${passed} | ${((100 * passed) / cases).toFixed(1)} % |`,
    ),
    '',
    '## Why it fails',
    '',
    ...gaps.map((gap) => `- ${gap}`),
    '',
    '## What fails, and how',
    ...kits.flatMap((kit) => failures(kit, scores)),
    '',
  ].join('\n');
}

/** A failing case once, with all the ways in which it was judged and failed. */
function failures(kit: string, scores: readonly Score[]): string[] {
  const byCase = new Map<string, Map<string, string>>();
  for (const score of scores) {
    if (score.kit !== kit || repeats(score, scores)) continue;
    for (const { id, reason } of score.failures) {
      const ways = byCase.get(id) ?? new Map<string, string>();
      byCase.set(id, ways.set(score.kind, reason));
    }
  }
  if (byCase.size === 0) return [];
  const cases = [...byCase].flatMap(([id, ways]) => [
    `- \`${id}\``,
    ...[...ways].map(([kind, reason]) => `  - ${kind}: ${shown(reason)}`),
  ]);
  return ['', `### ${kit}: ${byCase.size} cases`, '', ...cases];
}

/** Nothing new: a selection of the same cases, or judged strictly with the same failures as when judged leniently. */
function repeats({ kit, kind, failures: strict }: Score, scores: readonly Score[]): boolean {
  if (/, simple\b/.test(kind)) return true;
  if (!kind.includes('(strict)')) return false;
  const lenient = scores.find((one) => one.kit === kit && one.kind === kind.replace('(strict)', '(lenient)'));
  const names = (list: readonly Failure[]): string => list.map(({ id }) => id).join(' ');
  return lenient !== undefined && names(lenient.failures) === names(strict);
}

/** In one line of Markdown that shows every character. */
function shown(reason: string): string {
  const line = reason.replaceAll(/\s+/g, ' ').trim();
  const cut = line.length > longest ? `${line.slice(0, longest)}…` : line;
  return cut.replaceAll(/[\\`*_<>[\]|]/g, '\\$&');
}
