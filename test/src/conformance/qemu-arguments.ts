/** Our command line held against a recorded one: word by word, or with JSON words as values. */
import {
  buildCommandLine,
  parseDomain,
  prepareDomain,
  prepareForStart,
  requireFirmware,
  type PrepareOptions,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import { channelFolder, hostContext, lookUp, type HostCase } from './kit-host';
import type { Kit } from './kit';
import { differenceInWords, shellWords } from './words';

interface Case extends HostCase {
  readonly expect: string;
  readonly input: string;
  readonly expectArgs?: string;
}

/** Reports a case whose command line is recorded, or recorded as impossible, by kind; no reason is a pass. */
export function judgeCommandLine(
  kit: Kit,
  one: Case,
  capabilities: QemuCapabilities,
  options: PrepareOptions,
  report: (kind: string, reason: string | undefined) => void,
): void {
  let words: string[] | undefined;
  let refusal = '';
  try {
    words = commandWords(kit, one, capabilities, options);
  } catch (error) {
    refusal = error instanceof Error ? (error.name === 'VirtError' ? error.message : `${error.stack}`) : String(error);
  }
  if (one.expect === 'args-failure')
    report('command line refused', words === undefined ? undefined : 'built, but should be refused');
  if (one.expectArgs === undefined) return;
  const expected = shellWords(kit.read(one.expectArgs));
  const strict = words ? differenceInWords(expected, words) : `refused: ${refusal}`;
  report('command line (strict)', strict);
  report(
    'command line (lenient)',
    words && strict !== undefined ? differenceInWords(expected.map(withSortedKeys), words.map(withSortedKeys)) : strict,
  );
}

/** Environment assignments, the binary, the arguments. */
function commandWords(
  kit: Kit,
  one: HostCase & { input: string },
  capabilities: QemuCapabilities,
  options: PrepareOptions,
): string[] {
  const { domain } = parseDomain(kit.read(one.input), { mode: 'inactive', unknown: 'warn' });
  const prepared = prepareDomain(domain, capabilities, options);
  requireFirmware(prepared, options.firmware ?? []);
  lookUp(kit, prepared);
  const ready = prepareForStart(prepared, { channelDir: channelFolder(prepared) });
  const { env, args } = buildCommandLine(ready, hostContext(one, capabilities, ready));
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return [...assignments, ready.devices.emulator ?? '', ...args];
}

/** A JSON word with its keys sorted; any other word as it is. */
function withSortedKeys(word: string): string {
  if (!word.startsWith('{')) return word;
  try {
    return JSON.stringify(sorted(JSON.parse(word)));
  } catch {
    return word;
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}
